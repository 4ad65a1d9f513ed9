#!/bin/sh
# `git add -N` (intent to add) notes a file in the index without content, and `git commit` omits it. dulwich, libgit2
# (through pygit2) and GitPython ignore the flag of the entry and commit the file as an empty one. The content stays in
# the working tree only: a clone gets the empty file, and the author sees no sign of it. isomorphic-git omits the file,
# as git does. No library reports an error.
#
# Seen with git 2.47.3, dulwich 1.2.21, pygit2 1.21.0 (libgit2 1.9.7), GitPython 3.2.1 and isomorphic-git 1.44.19:
#   git 2.47.3: a
#   isomorphic-git 1.44.19: a
#   dulwich 1.2.21: a new (0 bytes)
#   pygit2 1.21.0: a new (0 bytes)
#   GitPython 3.2.1: a new (0 bytes)
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages \
    dulwich==1.2.21 pygit2==1.21.0 GitPython==3.2.1
npm install --silent --no-save --no-audit --no-fund --prefix "$work" isomorphic-git@1.44.19 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com

cat > commit.py <<'COMMIT'
import sys
from importlib.metadata import version

library = sys.argv[1]
if library == "dulwich":
    from dulwich import porcelain

    porcelain.commit(".", message=b"two")
elif library == "pygit2":
    import pygit2

    repository = pygit2.Repository(".")
    user = repository.default_signature
    tree = repository.index.write_tree()
    repository.create_commit("HEAD", user, user, "two", tree, [repository.head.target])
else:
    import git

    git.Repo(".").index.commit("two")
print(f"{library} {version(library)}: ", end="")
COMMIT
cat > commit.cjs <<'COMMIT'
const fs = require('fs');
const git = require('isomorphic-git');
const commit = { fs, dir: '.', message: 'two', author: { name: 'a', email: 'a@example.com' } };
git.commit(commit).then(() => process.stdout.write(`isomorphic-git ${git.version()}: `));
COMMIT

# $@: the command that commits
show() {
    rm -rf "$work/repository"
    git init -q -b main "$work/repository"
    cd "$work/repository"
    echo one > a
    git add a
    git commit -qm one
    echo two > a
    git add a
    echo content > new
    git add -N new
    "$@"
    [ "$(git log -1 --format=%s)" = two ]
    git ls-tree --format='%(path) (%(objectsize) bytes)' HEAD | sed 's/^a .*/a/' | tr '\n' ' ' | sed 's/ $//'
    echo
}
commit_with_git() {
    git commit -qm two
    printf 'git %s: ' "$(git version | cut -d ' ' -f 3)"
}
{
    show commit_with_git
    show node "$work/commit.cjs"
    for library in dulwich pygit2 GitPython; do show python3 "$work/commit.py" "$library"; done
} > "$work/output"
cat "$work/output"
[ "$(grep -c ': a$' "$work/output")" = 2 ]
[ "$(grep -c ': a new (0 bytes)$' "$work/output")" = 3 ]
