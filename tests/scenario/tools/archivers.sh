# What copies trees, and what watches a program: they see the machine as on a host.
. "$(dirname "$0")/common.sh"
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$said" "$copy"' EXIT
run 0 sh -c "tar cf $copy/t.tar -C $card vendor device uevent 2>/dev/null; tar xOf $copy/t.tar vendor"
says '^0x1efe$'
if command -v cpio >/dev/null 2>&1; then
  run 0 sh -c "find $card/ -maxdepth 1 -name 'v*r' | cpio -o 2>/dev/null | cpio -t 2>/dev/null"
  says '/vendor$'
fi
# rsync holds a file to its size, on a host's sysfs too: it copies links and directories.
if command -v rsync >/dev/null 2>&1; then
  run 0 sh -c "rsync -a $card/ $copy/rsync/ 2>/dev/null; readlink $copy/rsync/subsystem"
  says 'bus/pci$'
fi
# What cannot be read is said, and the rest is copied.
run 0 sh -c "cp -a $card/ $copy/cp 2>/dev/null; cat $copy/cp/device; readlink $copy/cp/subsystem"
says '^0x0d00$' 'bus/pci$'
run 0 sh -c "mv $card/vendor $copy/moved 2>/dev/null; cat $copy/moved; cat $card/vendor"
says '^0x1efe$'
for watcher in 'strace -o /dev/null' 'valgrind -q' 'setpriv --no-new-privs' 'busybox'; do
  command -v "${watcher%% *}" >/dev/null 2>&1 || continue
  run 0 $watcher cat $card/vendor
  says '^0x1efe$'
done
if command -v gdb >/dev/null 2>&1; then
  run 0 gdb -batch -ex run --args cat $card/vendor
  says '^0x1efe$' 'exited normally'
fi
run 0 ls -l /proc/self/fd
if [ "$(id -u)" = 0 ]; then
  # Somebody else may do what permissions say.
  run 0 setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \
    "cat $card/vendor; test -w $card/driver_override || echo no; : <>/dev/vfio/vfio && echo yes"
  says '^0x1efe$' '^no$' '^yes$'
fi
