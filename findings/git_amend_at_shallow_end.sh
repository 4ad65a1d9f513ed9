#!/bin/sh
# In a shallow clone, `git commit --amend` of the boundary commit silently writes a commit without parents: the amended
# object has parents, but the list of shallow commits hides them. A forced push of the branch is accepted, which cuts
# the remote's history to one commit. `git fsck` reports no error.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   before: the object has 1 parent
#   the amended object has 0 parents; amend says: nothing; fsck says: nothing
#   the remote's history after the push: 1 commit
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
git init -q --bare remote.git
git clone -q remote.git work 2>/dev/null
cd work
for number in 1 2 3; do
    echo $number > f
    git add f
    git commit -qm $number
done
git push -q origin main
cd ..
git clone -q --depth=1 "file://$work/remote.git" shallow
cd shallow
parents() { git cat-file commit HEAD | sed '/^$/q' | grep -c '^parent ' || true; }
before=$(parents)
said=$(git commit -q --amend -m amended 2>&1)
after=$(parents)
fsck=$(git fsck --no-dangling 2>&1 | grep -v '^Checking' || true)
echo "before: the object has $before parent"
echo "the amended object has $after parents; amend says: ${said:-nothing}; fsck says: ${fsck:-nothing}"
git push -q --force origin main 2>/dev/null
left=$(git -C ../remote.git rev-list --count main)
echo "the remote's history after the push: $left commit"
[ "$before $after $left$said$fsck" = "1 0 1" ]
