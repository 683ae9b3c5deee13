# cat and head read attributes; what cannot be read or is not there is refused.
. "$(dirname "$0")/common.sh"
run 0 cat $card/vendor
says '^0x1efe$'
run 0 cat $card/uevent
says '^DRIVER=vfio-pci$' '^PCI_SLOT_NAME=0000:01:00.0$'
run 0 cat $card/resource
[ "$(wc -l <"$said")" -eq 13 ] || { cat "$said"; echo "resource has not 13 lines"; exit 1; }
run 0 sh -c "head -c 64 $card/config | od -An -tx1"
says '^ fe 1e '
# Copies have the text alone, though the attribute's nominal size is a page.
run 0 sh -c "cp $card/vendor $said.copy; wc -c <$said.copy; rm -f $said.copy; tail -c 3 $card/vendor"
says '^7$' '^fe$'
run 0 wc -c $card/config
says '^4096 '
run 1 cat $card/reset
says 'Permission denied'
run 1 cat $card/nothing
says 'No such file or directory'
run 1 cat $card
says 'Is a directory'
