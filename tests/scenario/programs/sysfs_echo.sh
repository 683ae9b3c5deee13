exec "$1" -- sh -c '
c=/sys/bus/pci/devices/0000:01:00.0/tsm/connect
/bin/echo tsm0 > $c &&
! /bin/echo tsm0 > $c &&
! echo tsm9 > $c 2>/dev/null &&
test "$(cat < $c)" = tsm0 &&
test "$(cat $c)" = tsm0 &&
ls ${c%/*} | grep -q disconnect'
