#!/bin/sh
# tools/with_clang has clang compile what another compiler was to, behind the same launchers, and
# makes a precompiled header anew.
#   with_clang_test.sh SCRIPT
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/clang++-19" <<'END'
#!/bin/sh
echo "A=${A-} $*"
END
chmod +x "$folder/clang++-19"
PATH=$folder:$PATH
expect() {
  [ "$1" = "$2" ] || { echo "said: $1"; echo "not:  $2"; exit 1; }
}
expect "$("$1" /usr/bin/g++ env A=1 /usr/bin/g++ -I 'a b' -c f.cc)" \
  "A=1 -Wno-unknown-warning-option -I a b -c f.cc"
expect "$("$1" /usr/bin/g++ /usr/bin/g++ -D'X="y z"' -c f.cc)" \
  "A= -Wno-unknown-warning-option -DX=\"y z\" -c f.cc"
touch "$folder/h.gch"
expect "$("$1" g++ g++ -x c++-header -o "$folder/h.gch" -c h.cxx)" \
  "A= -Wno-unknown-warning-option -x c++-header -fpch-instantiate-templates -o $folder/h.gch -c h.cxx"
[ ! -e "$folder/h.gch" ] || { echo "the old header is there"; exit 1; }
touch "$folder/h.gch"
"$1" g++ g++ -include "$folder/h.gch" -c f.cc >/dev/null
[ -e "$folder/h.gch" ]
