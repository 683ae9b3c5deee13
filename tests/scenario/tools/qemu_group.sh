# QEMU before 9 has no iommufd: it opens VFIO by container and group. Its guest finds the
# function and uses its DMA engine. Kernel: $TEEIO_GUEST_KERNEL, or the newest one in /boot.
. "$(dirname "$0")/common.sh"
needs qemu-system-x86_64 busybox cpio gzip
kernel=${TEEIO_GUEST_KERNEL:-$(ls -t /boot/vmlinuz-* 2>/dev/null | head -1)}
[ -r "$kernel" ] || { echo "no kernel in /boot and no TEEIO_GUEST_KERNEL"; exit 77; }
file -L "$(command -v busybox)" 2>/dev/null | grep -q 'dynamically' && { echo "busybox is not static"; exit 77; }

guest=$(mktemp -d) || exit 1
trap 'rm -rf "$said" "$guest"' EXIT
mkdir -p "$guest/root/bin" "$guest/root/proc" "$guest/root/sys" "$guest/root/dev"
cp "$(command -v busybox)" "$guest/root/bin/busybox"
cp "$2" "$guest/root/bin/dma"
cat >"$guest/root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
for d in /sys/bus/pci/devices/*; do
  echo "$d $(/bin/busybox cat $d/vendor):$(/bin/busybox cat $d/device)"
done
/bin/dma
/bin/busybox poweroff -f
END
ln -s /bin/busybox "$guest/root/bin/sh"
chmod +x "$guest/root/init"
sed -i '1s,/bin/busybox sh,/bin/sh,' "$guest/root/init"
(cd "$guest/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$guest/initramfs.gz" || exit 1
run 0 qemu-system-x86_64 -M q35 -accel tcg -m 256 -nodefaults -display none -serial stdio \
  -no-reboot -device pcie-root-port,id=rp,chassis=1,slot=1 \
  -device vfio-pci,host=0000:01:00.1,bus=rp,rombar=0 -kernel "$kernel" \
  -initrd "$guest/initramfs.gz" -append 'console=ttyS0 panic=-1 quiet mitigations=off no_timer_check'
says ' 0x1efe:0x0d01' 'found .*, ID 31414d44' 'copy: ERROR 0, the page is there' \
  'DMA from nowhere: ERROR 6' 'guest done'
