#!/usr/bin/env bash
# AVX-512 where the CPU has none: Bochs emulates one that has (Skylake-X) down to the instructions, boots Debian's kernel on
# it, and fedlane-check holds every kernel there to tests/golden/kernels.txt, which the scalar form wrote. Times mean nothing
# there. scripts/test-long avx512 installs what it needs. Arguments: CHECK SOURCE_DIR SCRATCH_DIR
set -euo pipefail
check=$1 source=$2 scratch=$3
for tool in bochs grub-mkrescue xorriso cpio busybox apt-get dpkg-deb script; do
  command -v $tool > /dev/null || { echo "$tool is not installed"; exit 77; }
done
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

# The kernel alone: installing its package would change how this machine boots. The cloud's is small and has all of it built in.
image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -1)
[ -n "$image" ] && apt-get download -q "$image" > download.log 2>&1 || { echo "no package of linux-image-cloud-amd64"; exit 77; }
dpkg-deb -x "$image"_*.deb kernel
mkdir -p iso/boot/grub root/bin root/proc root/dev
cp kernel/boot/vmlinuz-* iso/boot/vmlinuz

# All that runs: busybox, fedlane-check with its libraries, and what is expected.
cp "$(command -v busybox)" root/bin/busybox
cp "$check" root/check
cp "$source/tests/golden/kernels.txt" root/
for library in $(ldd "$check" | grep -o '/[^ ]*'); do
  mkdir -p "root/$(dirname "$library")"
  cp -L "$library" "root/$library"
done
cat > root/init << 'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec > /dev/ttyS0 2>&1
/check --isa avx512 --golden /kernels.txt
/bin/busybox echo "GOLDEN $?"
/bin/busybox sleep 1
/bin/busybox poweroff -f
END
chmod +x root/init
(cd root && find . | cpio -o -H newc 2> ../cpio.log | gzip -1) > iso/boot/initrd.gz
# 321, 323: xsavec and xsaves, whose sizes of a state Bochs 2.7 and the kernel work out differently; it would use no vectors then.
cat > iso/boot/grub/grub.cfg << 'END'
set timeout=0
linux /boot/vmlinuz console=ttyS0 quiet clearcpuid=321,323 tsc=reliable lpj=4000000 no_timer_check mitigations=off nosmp
initrd /boot/initrd.gz
boot
END
grub-mkrescue -o disk.iso iso > grub.log 2>&1 || { cat grub.log; exit 1; }

# Without its speaker: where there is no sound it ends at once, with a buffer overflow.
cat > bochsrc << END
display_library: term
plugin_ctrl: speaker=0
megs: 1024
cpu: model=corei7_skylake_x, count=1, ips=100000000, reset_on_triple_fault=0
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$scratch/disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$scratch/serial.txt
log: $scratch/bochs.log
clock: sync=none
END
echo c > commands                        # Debian's has its debugger built in, which waits for "continue"
: > serial.txt
# It wants a terminal, and opens another one for the screen, which somebody must read or it waits; powering off ends it with
# status 1.
export TERM=xterm
: > screen.txt
read_screen() {
  local terminal=
  until terminal=$(grep -ao '/dev/pts/[0-9]*' screen.txt | head -1) && [ -n "$terminal" ]; do sleep 1; done
  cat "$terminal" > /dev/null 2>&1 || :
}
read_screen &
trap 'kill $! 2> /dev/null || :' EXIT
timeout "${EMULATE_SECONDS:-7200}" script -qfc "bochs -q -f bochsrc -rc commands" screen.txt > /dev/null < /dev/null || :
tr -d '\r' < serial.txt
tr -d '\r' < serial.txt | grep -qx "GOLDEN 0" || { echo "avx512.sh: FAILED: no line 'GOLDEN 0' above"; exit 1; }
