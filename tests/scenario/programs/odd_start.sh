exec env --ignore-signal=CHLD --ignore-signal=PIPE "$1" -- "$2" <&- 2>&-
