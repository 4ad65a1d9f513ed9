#!/bin/sh
# A program that calls `git --literal-pathspecs commit`, so that names with `*` are not patterns, also disables patterns
# in every hook: the option becomes GIT_LITERAL_PATHSPECS=1 for all children. A pre-commit hook that lists the staged
# files of a language finds none and lets the commit pass; one that stashes unstaged changes with
# `git stash push --keep-index` drops the staged ones from the commit, which becomes empty.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   git commit: the hook checks 1 file
#   git --literal-pathspecs commit: the hook checks 0 files
#   git commit with a stashing hook: 1 file in the commit
#   git --literal-pathspecs commit with a stashing hook: 0 files in the commit
set -eu
version='1:2.39.5-0+deb12u3'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download "git=$version" >/dev/null 2>&1
dpkg -x ./*.deb unpacked
GIT_EXEC_PATH="$work/unpacked/usr/lib/git-core" HOME="$work" GIT_CONFIG_NOSYSTEM=1 PATH="$work/unpacked/usr/bin:$PATH"
export GIT_EXEC_PATH HOME GIT_CONFIG_NOSYSTEM PATH
git config --global user.name a
git config --global user.email a@example.com
git config --global init.defaultBranch main
git config --global advice.detachedHead false

git --version
mkdir repository
cd repository
git init -q .
echo 1 > a.txt
git add a.txt
git commit -qm base
cat > .git/hooks/pre-commit <<'HOOK'
#!/bin/sh
git diff --cached --name-only -- '*.py' | wc -l > "$HOME/checked"
HOOK
chmod +x .git/hooks/pre-commit
echo 1 > one.py
git add one.py
git commit -qm plain
plain=$(cat "$HOME/checked")
echo "git commit: the hook checks $plain file"
echo 2 > one.py
git add one.py
git --literal-pathspecs commit -qm literal
literal=$(cat "$HOME/checked")
echo "git --literal-pathspecs commit: the hook checks $literal files"
cat > .git/hooks/pre-commit <<'HOOK'
#!/bin/sh
git stash push -q -u --keep-index 2>/dev/null
git stash pop -q 2>/dev/null
exit 0
HOOK
files() { git diff-tree --no-commit-id --name-only -r HEAD | wc -l; }
echo 3 > one.py
git add one.py
echo 2 > a.txt
git commit -qm plain
stashing=$(files)
echo "git commit with a stashing hook: $stashing file in the commit"
echo 4 > one.py
git add one.py
git --literal-pathspecs commit -qm literal 2>/dev/null
stashed=$(files)
echo "git --literal-pathspecs commit with a stashing hook: $stashed files in the commit"
[ "$plain $literal $stashing $stashed" = "1 0 1 0" ]
