# Sourced by every script before anything else, with the script's arguments.
# The script's header comment is its usage: --help prints it, and it states what
# the script takes. Nothing is set up or started here.
#
#   #   ./scripts/NAME.sh [FLAG ...]    how it is called; nothing after the
#   #                                   name means that it takes no arguments
#   #   NAME=VALUE   text               a variable of the environment
#
# Relative paths, in variables and in arguments, mean the caller's folder.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
CALLER="$PWD"
SCRIPT="$(basename "$0")"

fail() {
  echo "error: $*" >&2
  exit 2
}

# The header comment, without its marks.
usage() {
  sed -n '2,${/^[^#]/q; /^$/q; /^#SBATCH/d; s/^# \{0,1\}//p}' "$0"
}

# Names of the variables that the header lists.
variables() {
  usage | sed -n 's/^  \([A-Z_]*\)=.*/\1/p'
}

for argument in "$@"; do
  case "$argument" in
    -h | -help | --help)
      usage
      echo
      echo "The first script that runs makes .venv, once (about 3 GB; PYTHON=PATH"
      echo "names the interpreter). Relative paths mean the folder that you are in."
      exit 0
      ;;
    '')
      fail "an argument of $SCRIPT is empty; --help says what it takes."
      ;;
  esac
done

if [ $# -gt 0 ] && usage | grep -q "^  \./scripts/$SCRIPT\$"; then
  case "$1" in
    --*=*)
      name="${1#--}" name="${name%%=*}"
      fail "$SCRIPT takes no arguments, but $1 was given; settings are" \
        "variables before the command, ${name^^}=${1#*=} ./scripts/$SCRIPT if" \
        "it is one of them, and --help lists them."
      ;;
    *)
      fail "$SCRIPT takes no arguments, but $1 was given; --help lists the" \
        "variables that it reads."
      ;;
  esac
fi

# A variable that this script does not have, named like one that it has.
for name in $(variables); do
  other="${name}S"
  case "$name" in *S) other="${name%S}" ;; esac
  if [ -n "${!other:-}" ] && ! variables | grep -qx "$other"; then
    fail "$other is set, but $SCRIPT calls it $name; write $name=${!other}."
  fi
done

# Another script's setting would be without effect here. Folders and ports
# stand in many people's environments; a script that calls another is no mistake.
if [ -z "${CALLED_BY_SCRIPT:-}" ]; then
  for name in $(sed -n 's/^#   \([A-Z_]*\)=.*/\1/p' "$ROOT"/scripts/*.sh); do
    case "$name" in *DIR | *PORT | OUTPUT | TEACHERS | RECORDINGS) continue ;; esac
    if [ -n "${!name:-}" ] && ! variables | grep -qx "$name"; then
      fail "$name is set to ${!name}, but $SCRIPT has no such variable; unset" \
        "it; --help lists those that it has."
    fi
  done
fi
export CALLED_BY_SCRIPT="$SCRIPT"

# choice NAME DEFAULT VALUE...: a variable with one of these values.
choice() {
  local name="$1" value="${!1:-$2}"
  shift 2
  is_among "$value" "$@" ||
    fail "$name is $value; use $(listed "$@")."
  declare -g "$name=$value"
}

# items NAME DEFAULT [VALUE...]: a variable with one or several values, of
# these if any are named. Commas and blanks part them alike; commas remain.
items() {
  local - name="$1" value="${!1:-$2}" item values=()
  set -f
  shift 2
  for item in ${value//,/ }; do
    [ $# -eq 0 ] || is_among "$item" "$@" ||
      fail "$name has $item; use any of $(listed "$@")."
    ! is_among "$item" "${values[@]}" || fail "$name has $item twice."
    values+=("$item")
  done
  [ "${#values[@]}" -gt 0 ] || fail "$name is empty; name one value or more."
  declare -g "$name=$(IFS=, && echo "${values[*]}")"
}

is_among() {
  local value="$1" other
  shift
  for other in "$@"; do
    [ "$value" != "$other" ] || return 0
  done
  return 1
}

# whole_numbers NAME DEFAULT: a variable with one or several of them.
whole_numbers() {
  items "$1" "$2"
  [[ "${!1}" =~ ^[0-9]+(,[0-9]+)*$ ]] ||
    fail "$1 is ${!1}; give whole numbers, parted by commas."
}

# whole_number NAME DEFAULT LEAST: a variable with one; it may be empty.
whole_number() {
  local value="${!1:-$2}"
  if [ -n "$value" ] && ! { [[ "$value" =~ ^[0-9]{1,9}$ ]] &&
    [ "$value" -ge "$3" ]; }; then
    fail "$1 is $value; give a whole number, $3 or more."
  fi
  declare -g "$1=$value"
}

# folder NAME DEFAULT: a variable with a path, which becomes absolute.
folder() {
  local value="${!1:-$2}"
  case "$value" in
    /*) ;;
    *) value="$CALLER/$value" ;;
  esac
  case "$value" in
    *[[:cntrl:]]*)
      fail "$1 is $(printf %q "$value"), which holds characters that cannot be" \
        "printed; give plain text."
      ;;
  esac
  refuse_file "$1" "$value"
  declare -g "$1=$value"
}

# refuse_file NAME PATH: what is or could become a folder passes.
refuse_file() {
  local name="$1" path="$2"
  while [ ! -d "$path" ]; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      fail "$name is $2, but $path is no folder; name another."
    fi
    path="$(dirname "$path")"
  done
}

# results DESK [OTHER]: OUTPUT, where the table goes: results/DESK for that
# preset, results/OTHER or a name with the preset after it for another. What
# git keeps there was made with desk; another preset never writes over it.
results() {
  local other="${2:-$1_$PRESET}"
  case "$PRESET" in
    smoke) folder OUTPUT "$WORKDIR/report" ;;
    desk) folder OUTPUT "$ROOT/results/$1" ;;
    *) folder OUTPUT "$ROOT/results/$other" ;;
  esac
  [ "$PRESET" != desk ] || return 0
  case "$(realpath -m "$OUTPUT")" in
    "$ROOT/results/$other" | "$ROOT/results/"*"$PRESET"*) ;;
    "$ROOT/results" | "$ROOT/results/"*)
      fail "OUTPUT is $OUTPUT, among what the desk preset made; name a folder" \
        "with $PRESET in it, or elsewhere."
      ;;
  esac
}

# listed VALUE...: for a sentence, "a, b or c".
listed() {
  local text="$1"
  while shift && [ $# -gt 0 ]; do
    if [ $# -eq 1 ]; then text+=" or $1"; else text+=", $1"; fi
  done
  echo "$text"
}
