#!/bin/sh
# `git log` of a path reads the changed-path Bloom filters of a commit-graph, but not if the pathspec has the magic `top`:
# then it compares the trees of every commit. `:(literal)` keeps the filters, `:(top,literal)` and `:/` lose them, although
# all name the same file from the top of the working tree. With 100,000 commits a listing took five times as long.
#
# Seen with git 2.47.3, on 40 commits, two of which change the file; the figures are git's own statistics:
#   git 2.47.3
#     src/f3: 38 commits skipped by a filter
#     :(literal)src/f3: 38 commits skipped by a filter
#     :(top)src/f3: no filter was read
#     :(top,literal)src/f3: no filter was read
#     :/src/f3: no filter was read
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name a
git config --global user.email a@example.com
git init -q --initial-branch=main repo
cd repo
mkdir src
number=0
while [ "$number" -lt 40 ]; do
    echo "$number" > "src/f$((number % 20))"
    git add .
    GIT_COMMITTER_DATE="@$((1700000000 + number)) +0000" git commit -qm "$number"
    number=$((number + 1))
done
git commit-graph write --reachable --changed-paths --no-progress
git --version | sed 's/ version//' > ../seen
for path in src/f3 ':(literal)src/f3' ':(top)src/f3' ':(top,literal)src/f3' :/src/f3; do
    [ "$(git log --format=%h -- "$path" | wc -l)" -eq 2 ]
    skipped=$(GIT_TRACE2_EVENT="$work/trace" git log --format=%h -- "$path" > /dev/null && sed -n 's/.*"definitely_not":\([0-9]*\).*/\1/p' "$work/trace")
    rm "$work/trace"
    case $skipped in
        '') echo "  $path: no filter was read" ;;
        *) echo "  $path: $skipped commits skipped by a filter" ;;
    esac
done >> ../seen
cat ../seen
tail -n +2 ../seen > ../result
cat > ../expected <<'EXPECTED'
  src/f3: 38 commits skipped by a filter
  :(literal)src/f3: 38 commits skipped by a filter
  :(top)src/f3: no filter was read
  :(top,literal)src/f3: no filter was read
  :/src/f3: no filter was read
EXPECTED
cmp ../expected ../result
