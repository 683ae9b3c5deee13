# setpci reads and writes registers.
. "$(dirname "$0")/common.sh"
needs setpci
run 0 setpci -s 01:00.0 COMMAND
says '^0002$'
run 0 setpci -s 01:00.0 VENDOR_ID
says '^1efe$'
run 0 sh -c 'setpci -s 01:00.0 COMMAND=0006 && setpci -s 01:00.0 COMMAND &&
             setpci -s 01:00.0 COMMAND=0002'
says '^0006$'
