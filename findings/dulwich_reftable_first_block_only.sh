#!/bin/sh
# dulwich reads refs in the reftable format (`git init --ref-format=reftable`), but only from the first block of each
# table (a block is 4096 bytes). Refs that sort later are silently missing: with many branches, the last ones and all
# tags, which sort after the branches. With few refs nothing is missing, so a small test repository does not show the
# bug. `porcelain.branch_list` also drops the first letter of each name, regardless of the number of refs.
#
# Seen with dulwich 1.2.21 and git 2.47.3; dulwich's numbers come from `get_refs()` and `porcelain.tag_list`:
#   dulwich 1.2.21
#   git: 21 branches, 1 tag
#   dulwich: 21 branches, 1 tags; first names: ain, opic-001
#   git: 501 branches, 1 tag
#   dulwich: 158 branches, 0 tags; first names: ain, opic-001
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages dulwich==1.2.21
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com
cat > refs.py <<'REFS'
import sys

from dulwich import porcelain
from dulwich.repo import Repo

with Repo(sys.argv[1]) as repository:
    branches = [name for name in repository.get_refs() if name.startswith(b"refs/heads/")]
    names = sorted(porcelain.branch_list(repository))
    print(len(branches), len(porcelain.tag_list(repository)), b", ".join(names[:2]).decode())
REFS

# $1: the number of branches besides main
show() {
    git init -q -b main --ref-format=reftable "$1"
    git -C "$1" commit -q --allow-empty -m one
    {
        seq -f 'create refs/heads/topic-%03g HEAD' "$1"
        echo 'create refs/tags/v1 HEAD'
    } | git -C "$1" update-ref --stdin
    git -C "$1" fsck --strict
    echo "git: $(git -C "$1" branch | wc -l) branches, $(git -C "$1" tag | wc -l) tag"
    python3 refs.py "$1" > refs
    read -r branches tags names < refs
    echo "dulwich: $branches branches, $tags tags; first names: $names"
}

python3 -c 'import dulwich; print("dulwich", ".".join(map(str, dulwich.__version__)))'
show 20
[ "$branches $tags $names" = '21 1 ain, opic-001' ]
show 500
[ "$branches" -lt 501 ]
[ "$tags $names" = '0 ain, opic-001' ]
