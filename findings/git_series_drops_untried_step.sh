#!/bin/sh
# A series of picks stops before a commit that would overwrite an edited file. Once that file is out of the way,
# `git cherry-pick --continue` succeeds but skips the commit that was never tried: without CHERRY_PICK_HEAD it takes the
# first step of its list as done. `git revert` does the same. Only --abort and repeating the whole series apply all of
# it; a rebase puts such a step back on its list.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   the pick of three commits: exit 1 with s1 applied
#   after the way is free, --continue: exit 0
#   applied: s3 s1 base
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
echo 1 > f
git add f
git commit -qm base
git checkout -q -b side
for step in s1 s2 s3; do
    echo $step > file-$step
    [ $step = s2 ] && echo 2 > f
    git add .
    git commit -qm $step
done
git checkout -q main
echo mine > f
first=0
git cherry-pick main..side >/dev/null 2>&1 || first=$?
echo "the pick of three commits: exit $([ $first -ne 0 ] && echo 1) with $(git log -1 --format=%s) applied"
git stash -q
then=0
git cherry-pick --continue >/dev/null 2>&1 || then=$?
applied=$(git log --format=%s | tr '\n' ' ')
echo "after the way is free, --continue: exit $then"
echo "applied: $applied"
[ "$then $applied" = "0 s3 s1 base " ]
