#!/bin/bash
# Records what llama.cpp makes of texts with escapes: expected.txt has a text and the bytes it stands for in each line.
#
#     make_fixtures.sh LLAMA_CPP      the folder of llama.cpp's sources (recorded with those of llama-cpp-python 0.3.36)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    echo '#include <cstdio>'
    echo '#include <cstdlib>'
    echo '#include <iostream>'
    echo '#include <string>'
    sed -n '/^void string_process_escapes/,/^}/p' "$1/common/common.cpp"
    cat <<'CODE'
int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::string text = line;
        string_process_escapes(text);
        std::printf("%s ", line.c_str());
        for (unsigned char byte : text) std::printf("%02x", byte);
        std::puts("");
    }
}
CODE
} > "$work/escapes.cpp"
c++ -o "$work/escapes" "$work/escapes.cpp"
printf '%s\n' 'a\nb' '\t\r' '\'"'"'\"' '\\n' '\\\n' '\q' 'end\' '\x41\x4a' '\xc3\xa9' '\xC3\xBC' '\x4' '\xZZ' '\x4g' '\\\\' \
    '\x4\n' '\u0041' '\0' 'none' '\xx41' '\\x41' '\X41' | "$work/escapes" > "$here/expected.txt"
