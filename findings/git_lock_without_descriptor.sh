#!/bin/sh
# While `git commit -a` waits for its editor it holds `index.lock`, but no process has that file open: a check that
# looks for a lock's holder among open files (lsof, fuser, /proc/*/fd) takes the lock for a stale one and removes a lock
# in use. `git commit` closes the lock file before the editor starts, and renames it afterwards.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   while the editor runs: index.lock is there, 0 processes have it open
#   after the editor: index.lock is gone, 2 commits
set -eu
version='1:2.39.5-0+deb12u3'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download "git=$version" >/dev/null 2>&1
dpkg -x ./*.deb unpacked
GIT_EXEC_PATH="$work/unpacked/usr/lib/git-core" HOME="$work" GIT_CONFIG_NOSYSTEM=1
export GIT_EXEC_PATH HOME GIT_CONFIG_NOSYSTEM
git() { "$work/unpacked/usr/bin/git" -c user.name=a -c user.email=a@example.com "$@"; }

git --version
mkdir repository
cd repository
git init -q .
echo one > file
git add file
git commit -qm one
echo two > file
cat > "$work/editor" <<'EDITOR'
#!/bin/sh
touch "$(dirname "$0")/open"
while [ ! -e "$(dirname "$0")/close" ]; do sleep 0.1; done
echo two > "$1"
EDITOR
chmod +x "$work/editor"
GIT_EDITOR="$work/editor" git commit -qa &
while [ ! -e "$work/open" ]; do sleep 0.1; done
lock=absent
[ -e .git/index.lock ] && lock=there
holders=$(for fd in /proc/[0-9]*/fd/*; do readlink "$fd" 2>/dev/null || true; done | grep -c "^$work/repository/.git/index.lock" || true)
echo "while the editor runs: index.lock is $lock, $holders processes have it open"
touch "$work/close"
wait
after=gone
[ -e .git/index.lock ] && after=there
commits=$(git rev-list --count HEAD)
echo "after the editor: index.lock is $after, $commits commits"
[ "$lock $holders $after $commits" = "there 0 gone 2" ]
