#!/usr/bin/env bash
# Attacks the library and its hosts, where the suites of tests/run.sh only check them.
#
#   tests/harden.sh [short|long] [PART]...
#
# short, the default, takes less than four minutes for all parts once everything is compiled. long runs until every part has
# done what it promises.
# A part is an executable in tests/harden/, which gets short or long; long also has reproduce, races, miri and mutants, which
# are scripts in tests/. A part prints its results and ends with 0 if it has found nothing.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly long_only=(reproduce races miri mutants)

mode=short
if [[ ${1-} == short || ${1-} == long ]]; then
    mode=$1
    shift
fi
parts=("$@")
if ((${#parts[@]} == 0)); then
    for file in tests/harden/*.sh; do
        parts+=("$(basename "$file" .sh)")
    done
    [[ $mode == short ]] || parts+=("${long_only[@]}")
fi

# run PART: runs it. Fails with 2 if there is no such part in this mode.
run() {
    if [[ -x tests/harden/$1.sh ]]; then
        "tests/harden/$1.sh" "$mode"
    elif [[ $mode == long && " ${long_only[*]} " == *" $1 "* ]]; then
        "tests/$1.sh"
    else
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        return 2
    fi
}

declare -A result=() seconds=()
failed=0
for part in "${parts[@]}"; do
    echo "=== $part"
    start=$SECONDS
    if run "$part"; then
        result[$part]=passed
    else
        result[$part]=FAILED
        ((failed += 1))
    fi
    seconds[$part]=$((SECONDS - start))
done
printf '\n%-12s %8s %8s\n' part result seconds
for part in "${parts[@]}"; do
    printf '%-12s %8s %8d\n' "$part" "${result[$part]}" "${seconds[$part]}"
done
((failed == 0))
