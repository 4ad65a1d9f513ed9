#!/bin/sh
# parse-git-diff (npm) stops at the first file that `git diff --binary` writes as a binary patch: this file and all
# later ones are missing from the result, without an error, so a change of `z.txt` is hidden by an image that sorts
# before it. Any text before the first file, such as the commit of `git show` or the table of `--stat`, empties the
# result. The same diff without --binary, and the same diff in parse-diff and diff2html, lists every file.
#
# Seen with parse-git-diff 0.0.20, parse-diff 0.12.0, diff2html 3.4.56 and git 2.47.3:
#   git: a.txt m.bin z.txt
#   parse-git-diff, git diff: a.txt m.bin z.txt
#   parse-git-diff, git diff --binary: a.txt
#   parse-git-diff, git show: (none)
#   parse-diff, git diff --binary: a.txt m.bin z.txt
#   parse-diff, git show: a.txt m.bin z.txt
#   diff2html, git diff --binary: a.txt m.bin z.txt
#   diff2html, git show: a.txt m.bin z.txt
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" \
    parse-git-diff@0.0.20 parse-diff@0.12.0 diff2html@3.4.56 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name a
git config --global user.email a@example.com
cat > files.mjs <<'FILES'
import fs from 'node:fs';
const [, , name] = process.argv;
const text = fs.readFileSync(0, 'utf8');
const parsers = {
  'parse-git-diff': (module) => module.default(text).files.map((file) => file.path),
  'parse-diff': (module) => module.default(text).map((file) => file.to),
  diff2html: (module) => module.parse(text).map((file) => file.newName),
};
const files = parsers[name](await import(name));
console.log(files.length ? files.join(' ') : '(none)');
FILES

git init -q repository
cd repository
for file in a.txt m.bin z.txt; do printf '%s\0\n' one > $file; done
printf 'one\n' | tee a.txt > z.txt
git add .
git commit -qm one
printf 'two\0\n' > m.bin
printf 'two\n' | tee a.txt > z.txt
git commit -qam two
files() { node ../files.mjs "$1"; }
{
    echo "git: $(git diff --name-only HEAD~ HEAD | xargs)"
    echo "parse-git-diff, git diff: $(git diff HEAD~ HEAD | files parse-git-diff)"
    for parser in parse-git-diff parse-diff diff2html; do
        echo "$parser, git diff --binary: $(git diff --binary HEAD~ HEAD | files $parser)"
        echo "$parser, git show: $(git show HEAD | files $parser)"
    done
} | tee ../output
diff - ../output <<'EXPECTED'
git: a.txt m.bin z.txt
parse-git-diff, git diff: a.txt m.bin z.txt
parse-git-diff, git diff --binary: a.txt
parse-git-diff, git show: (none)
parse-diff, git diff --binary: a.txt m.bin z.txt
parse-diff, git show: a.txt m.bin z.txt
diff2html, git diff --binary: a.txt m.bin z.txt
diff2html, git show: a.txt m.bin z.txt
EXPECTED
