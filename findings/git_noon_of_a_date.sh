#!/bin/sh
# Before noon, `git log --since='2024-03-01 noon'` starts at noon of 29 February, and before 5 pm `2024-03-01 tea` also
# means the previous day: a named time of day goes back one day if it is still to come today, even after an explicit
# date. The same command returns different commits in the morning and in the evening.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   at 03:00: 2024-03-01 noon is 2024-02-29 12:00, 2024-03-01 tea is 2024-02-29 17:00
#   at 20:00: 2024-03-01 noon is 2024-03-01 12:00, 2024-03-01 tea is 2024-03-01 17:00
set -eu
version='1:2.39.5-0+deb12u3'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download "git=$version" >/dev/null 2>&1
dpkg -x ./*.deb unpacked
GIT_EXEC_PATH="$work/unpacked/usr/lib/git-core" HOME="$work" GIT_CONFIG_NOSYSTEM=1 TZ=UTC PATH="$work/unpacked/usr/bin:$PATH"
export GIT_EXEC_PATH HOME GIT_CONFIG_NOSYSTEM TZ PATH

git --version
git init -q
today=1764460800
read_at() {
    age=$(GIT_TEST_DATE_NOW=$((today + $1 * 3600)) git rev-parse --since="2024-03-01 $2")
    date -u -d "@${age#--max-age=}" '+%Y-%m-%d %H:%M'
}
for hour in 3 20; do
    echo "at $(printf %02d $hour):00: 2024-03-01 noon is $(read_at $hour noon), 2024-03-01 tea is $(read_at $hour tea)"
done
[ "$(read_at 3 noon) $(read_at 20 noon)" = "2024-02-29 12:00 2024-03-01 12:00" ]
[ "$(read_at 3 tea) $(read_at 20 tea)" = "2024-02-29 17:00 2024-03-01 17:00" ]
