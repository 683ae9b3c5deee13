"$1" -- "$2" | grep -q outlived
