#!/bin/sh
# `git rebase` drops a commit if upstream has one that adds the same lines at another place of the file, or the same
# lines with another indentation: it compares patches without line numbers and without blanks. A setting for service b
# is lost because service a got the same, and a statement stays inside of a condition. `git cherry` reports the commit
# as merged ("-"). The exit code is 0, with a warning about a "previously applied commit". A merge of the same branches
# keeps the first change and stops at a conflict for the second.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   same line for b: cherry -, rebase: exit 0, 0 commits of the branch left, restarts: a
#   same line for b: merge: exit 0, restarts: a b
#   other indentation: cherry -, rebase: exit 0, 0 commits of the branch left, [        stop()]
#   other indentation: merge: exit 1
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

# $1: the services that restart
services() {
    for name in a b; do
        printf '%s:\n  image: x\n  ports:\n    - 80\n' $name
        case $1 in *$name*) echo '  restart: always' ;; esac
        printf '  env:\n    - K=1\n\n'
    done > services.yml
}
# $1: the lines after the condition
script() { printf 'def f(x):\n    if x:\n%s\n' "$1" > f.py; }
# $1: the repository; $2: writes a version; $3, $4, $5: the version of the base, of main, of the branch
create() {
    git init -q "$1"
    cd "$1"
    "$2" "$3"
    git add .
    git commit -qm base
    git checkout -q -b topic
    "$2" "$5"
    git commit -qam topic
    git checkout -q main
    "$2" "$4"
    git commit -qam upstream
    git checkout -q topic
}
restarts() { sed -n -e '/^[ab]:/{s/://;h}' -e '/restart/{x;p}' services.yml | xargs; }
# $1: the command
try() {
    code=0
    "$@" >/dev/null 2>&1 || code=$?
}

git --version
{
    create places services - a b
    cherry=$(git cherry main | cut -c1)
    try git rebase main
    left=$(git rev-list --count main..topic)
    echo "same line for b: cherry $cherry, rebase: exit $code, $left commits of the branch left, restarts: $(restarts)"
    cd "$work"
    create places-merged services - a b
    try git merge --no-edit main
    echo "same line for b: merge: exit $code, restarts: $(restarts)"
    cd "$work"
    inside=$(printf '        run()\n        stop()')
    after=$(printf '        run()\n    stop()')
    create indents script '        run()' "$inside" "$after"
    cherry=$(git cherry main | cut -c1)
    try git rebase main
    left=$(git rev-list --count main..topic)
    echo "other indentation: cherry $cherry, rebase: exit $code, $left commits of the branch left, [$(tail -n 1 f.py)]"
    cd "$work"
    create indents-merged script '        run()' "$inside" "$after"
    try git merge --no-edit main
    echo "other indentation: merge: exit $code"
} > "$work/output"
cat "$work/output"
diff - "$work/output" <<'EXPECTED'
same line for b: cherry -, rebase: exit 0, 0 commits of the branch left, restarts: a
same line for b: merge: exit 0, restarts: a b
other indentation: cherry -, rebase: exit 0, 0 commits of the branch left, [        stop()]
other indentation: merge: exit 1
EXPECTED
