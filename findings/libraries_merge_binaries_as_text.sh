#!/bin/sh
# Two branches that change different parts of a binary file conflict: git keeps our version and asks. dulwich and
# isomorphic-git merge the file line by line, report success, and commit a file that neither side had; isomorphic-git
# also replaces each byte that is no UTF-8 by three others. The attribute `-merge`, with which a project excludes a
# generated text file from merges by line, has no effect on them. pygit2 (libgit2) reports both conflicts.
#
# Seen with git 2.47.3, pygit2 1.21.0 (libgit2 1.9.7), dulwich 1.2.21 and isomorphic-git 1.44.19; the binary file with
# both changes would have 14 bytes:
#   dulwich 1.2.21, binary file: no conflict, both changes in one file, 14 bytes
#   dulwich 1.2.21, -merge: no conflict, both changes in one file, 12 bytes
#   git 2.47.3, binary file: conflict, ours kept
#   git 2.47.3, -merge: conflict, ours kept
#   isomorphic-git 1.44.19, binary file: no conflict, both changes in one file, 16 bytes
#   isomorphic-git 1.44.19, -merge: no conflict, both changes in one file, 12 bytes
#   pygit2 1.21.0, binary file: conflict
#   pygit2 1.21.0, -merge: conflict
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages \
    dulwich==1.2.21 merge3==1.0.0 pygit2==1.21.0
npm install --silent --no-save --no-audit --no-fund --prefix "$work" isomorphic-git@1.44.19 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com

cat > merge.py <<'MERGE'
import sys
from importlib.metadata import version

library = sys.argv[1]
if library == "dulwich":
    from dulwich import porcelain

    _, conflicts = porcelain.merge(".", "theirs")
else:
    import pygit2

    repository = pygit2.Repository(".")
    repository.merge(repository.branches["theirs"].target)
    conflicts = repository.index.conflicts
print(f"{library} {version(library)}, {sys.argv[2]}: {'conflict' if conflicts else 'no conflict'}", end="")
MERGE
cat > merge.cjs <<'MERGE'
const fs = require('fs');
const git = require('isomorphic-git');
const author = { name: 'a', email: 'a@example.com' };
const merge = { fs, dir: '.', ours: 'main', theirs: 'theirs', author };
const show = (text) => process.stdout.write(`isomorphic-git ${git.version()}, ${process.argv[2]}: ${text}`);
git.merge(merge).then(() => show('no conflict'), (error) => show(error.code));
MERGE
merge_with_git() {
    if git merge -q --no-edit theirs >/dev/null 2>&1; then said='no conflict'; else said=conflict; fi
    printf 'git %s, %s: %s' "$(git version | cut -d ' ' -f 3)" "$1" "$said"
    [ "$(sed -n 5p f)" != e ] || printf ', ours kept'
}
# $1: the kind of file; $2...: the command that merges
show() {
    rm -rf "$work/repository"
    git init -q -b main "$work/repository"
    cd "$work/repository"
    second='b\0\377'
    if [ "$1" = -merge ]; then
        second=b
        echo 'f -merge' > .gitattributes
    fi
    printf "a\n$second\nc\nd\ne\n" > f
    git add .
    git commit -qm base
    git checkout -q -b theirs
    printf "a\n$second\nc\nd\nEEE\n" > f
    git commit -qam theirs
    git checkout -q main
    printf "A\n$second\nc\nd\ne\n" > f
    git commit -qam ours
    kind=$1
    shift
    "$@" "$kind"
    git show main:f > "$work/merged"
    both=$(grep -a -c -E '^(A|EEE)$' "$work/merged")
    [ "$both" = 1 ] || printf ', both changes in one file, %s bytes' "$(wc -c < "$work/merged")"
    echo
}
for kind in 'binary file' -merge; do
    show "$kind" merge_with_git
    show "$kind" python3 "$work/merge.py" pygit2
    show "$kind" python3 "$work/merge.py" dulwich
    show "$kind" node "$work/merge.cjs"
done | sort -s -t ' ' -k 1,1 > "$work/output"
cat "$work/output"
[ "$(grep -c -E '^(git|pygit2) .*: conflict' "$work/output")" = 4 ]
[ "$(grep -c -E '^(dulwich|isomorphic-git) .*: no conflict, both changes in one file' "$work/output")" = 4 ]
