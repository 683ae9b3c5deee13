exec "${1%/*}/scenario_confine" "$1" -- "$2"
