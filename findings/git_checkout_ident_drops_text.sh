#!/bin/sh
# With the attribute `ident`, git's checkout drops text: of `$Idx$Id: text $` it writes the second keyword alone, without
# the `$Idx` before it. The file then counts as modified although nobody edited it, and a commit of it loses the text.
# `git cat-file --filters`, which answers the same question with other code, keeps it.
#
# Seen with git 2.47.3:
#   git 2.47.3
#     stored: $Idx$Id: text $
#     checked out: $Id: ab5076ca42cd585c7f0a2a38e96bf660129f5e0f $
#     cat-file --filters: $Idx$Id: ab5076ca42cd585c7f0a2a38e96bf660129f5e0f $
#     status:  M x.c
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
echo '*.c ident' > .gitattributes
git add .gitattributes
# shellcheck disable=SC2016
id=$(echo '$Idx$Id: text $' | git hash-object -w --stdin)
git update-index --add --cacheinfo "100644,$id,x.c"
git commit -q -m one
git checkout -q -- x.c
git --version | sed 's/ version//'
{
    echo "  stored: $(git cat-file blob HEAD:x.c)"
    echo "  checked out: $(cat x.c)"
    echo "  cat-file --filters: $(git cat-file --filters HEAD:x.c)"
    echo "  status: $(git status --short)"
} > ../result
cat ../result
cat > ../expected <<EXPECTED
  stored: \$Idx\$Id: text \$
  checked out: \$Id: $id \$
  cat-file --filters: \$Idx\$Id: $id \$
  status:  M x.c
EXPECTED
cmp ../expected ../result
