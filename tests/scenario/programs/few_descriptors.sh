ulimit -n 12
exec timeout 20 "$1" -- "$2"
