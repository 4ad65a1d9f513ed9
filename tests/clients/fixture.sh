#!/bin/sh
# Test repositories for the clients.
#   fixture.sh make FOLDER URL  creates FOLDER/repo with the remotes `silent` at URL and `origin` inside it: remotes given
#                               by path lie inside the roots
#   fixture.sh publish FOLDER   adds a commit to `origin` large enough that fetching it reports progress
set -eu
unset $(git rev-parse --local-env-vars)
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
repo="$2/repo"
remote="$repo/published.git"
case "$1" in
make)
    git init --quiet --initial-branch=main "$repo"
    git -C "$repo" config user.name A
    git -C "$repo" config user.email a@example.com
    echo one >"$repo/a.txt"
    git -C "$repo" add a.txt
    git -C "$repo" commit --quiet -m first
    git init --quiet --bare --initial-branch=main "$remote"
    echo /published.git >"$repo/.git/info/exclude"
    git -C "$repo" remote add origin "$remote"
    git -C "$repo" remote add silent "$3"
    git -C "$repo" push --quiet origin main
    ;;
publish)
    noise=$(mktemp -d "$2/noise.XXXXXX")
    head -c 8000000 /dev/urandom | split -b 100000 - "$noise/"
    blobs=$(git -C "$remote" hash-object -w "$noise"/*)
    rm -r "$noise"
    tree=$(echo "$blobs" | awk '{ print "100644 blob " $1 "\t" NR }' | git -C "$remote" mktree)
    commit=$(git -C "$remote" -c user.name=A -c user.email=a@example.com commit-tree -p main -m noise "$tree")
    git -C "$remote" update-ref refs/heads/main "$commit"
    ;;
esac
