ulimit -S -n 1000
exec "$1" -- "$2"
