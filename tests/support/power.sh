# Disks whose power a test can cut; read after lib.sh. A disk NAME is the file NAME.img, which is what survives, and while it has
# power it is mounted on the directory NAME.
#
# shellcheck shell=sh disable=SC2034,SC2154

need_power() {
  need_root
  need_fuse
  need_cmd losetup mkfs.ext4
  [ -e /dev/loop-control ] || skip 'needs loop devices'
}

# new_disk NAME [FILESYSTEM]: ext4, xfs or btrfs, at the least size that it takes.
new_disk() {
  rm -f "$1.img"
  case ${2:-ext4} in
  ext4) truncate -s 64M "$1.img" && mkfs.ext4 -q -F -b 4096 -m 0 -O ea_inode -E lazy_itable_init=0,nodiscard "$1.img" ;;
  xfs) truncate -s 320M "$1.img" && mkfs.xfs -q -K "$1.img" ;;
  btrfs) truncate -s 128M "$1.img" && mkfs.btrfs -q -K --mixed "$1.img" >"$1.said" 2>&1 ;;
  esac
}

# insert_disk NAME SEED [OPTIONS of mount]: it has power, and is mounted. The loop devices free themselves at the last unmount.
insert_disk() {
  mkdir -p "$1" "$1.fuse"
  : >"$1.said"
  "$TFS_TESTS/forgetful_disk" "$1.img" "$1.fuse" --seed "$2" >"$1.said" &
  eval "power_of_$1=$!"
  track_pid "$!"
  wait_for 10 test -e "$1.fuse/disk"
  mount -o "loop${3:+,$3}" "$1.fuse/disk" "$1"
}

tfs_was_cut() {
  grep -q '^cut:' "$1.said"
}

# cut_power NAME [soon]: now; or between two of the next writes, if some come within half a second. What works on the disk has to
# be killed then, and eject_disk to follow.
cut_power() {
  eval "tfs_power=\$power_of_$1"
  if [ "${2:-}" = soon ]; then
    kill -s USR2 "$tfs_power"
    for tfs_try in 1 2 3 4 5; do
      ! tfs_was_cut "$1" || return 0
      sleep 0.1
    done
  fi
  kill -s USR1 "$tfs_power"
  wait_for 10 tfs_was_cut "$1"
}

tfs_is_detached() {
  ! losetup -l -n -O BACK-FILE | grep -Fqx -e "$TFS_RUN/$1"
}

# eject_disk NAME: with its power cut, or in order.
eject_disk() {
  umount -l "$1"
  wait_for 20 tfs_is_detached "$1.fuse/disk"
  umount_tfs "$1.fuse"
  eval "wait \"\$power_of_$1\"" || fail "forgetful_disk ended with status $?"
}

# mount_survivor NAME DIR: what NAME.img holds.
mount_survivor() {
  mkdir -p "$2"
  mount -o loop "$1.img" "$2"
}
