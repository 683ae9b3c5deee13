# A second connect is refused as Linux refuses it, and the shell says so.
. "$(dirname "$0")/common.sh"
run 1 sh -c "/bin/echo tsm0 >$card/tsm/connect && cat $card/tsm/connect &&
             /bin/echo tsm0 >$card/tsm/connect"
says '^tsm0$' 'write error: Device or resource busy$'
# The shell's own echo writes too.
run 0 sh -c "echo tsm0 >$card/tsm/connect && cat $card/tsm/connect &&
             echo tsm0 >$card/tsm/disconnect && cat $card/tsm/connect"
says '^tsm0$'
run 1 sh -c "/bin/echo tsm7 >$card/tsm/connect"
says 'write error: '
