#!/usr/bin/env bash
# Moves a file, and a directory tree by tar, from one shell command to another in four ways:
# annulus send | recv, a pipe, a FIFO, and a Unix socket (socat, skipped where there is none).
#
#   scripts/shell-pipes.sh [ROUNDS] [MIB] [DIR]
#
# ROUNDS of all four in alternation, 10 by default, after one that is not counted; a file of
# MIB mebibytes in /dev/shm, 1024 by default, twice; DIR for tar, or none. Three consumers:
# `cat` to /dev/null; cksum, whose sum must be the source's each time; and a file, which must
# be the source's copy each time. Nothing is pinned. Prints median and spread of the seconds,
# and the ratio to the pipe, round by round.
#
# ANNULUS names the command, else target/release/annulus, built if it is not there.
set -euo pipefail

rounds=${1:-10} mib=${2:-1024} dir=${3:-}
annulus=${ANNULUS:-target/release/annulus}
if [ ! -x "$annulus" ]; then
    cargo build --release -p annulus-cli
fi

room=$(mktemp -d /dev/shm/shell-pipes.XXXXXX)
trap 'rm -rf "$room"' EXIT
file=$room/file fifo=$room/fifo socket=$room/socket
name=shm:shell-pipes-$$
mkfifo "$fifo"
# Bytes that are not all alike, made once: a MiB of random ones, over and over.
head -c 1M /dev/urandom > "$room/piece"
for ((i = 0; i < mib; i++)); do cat "$room/piece"; done > "$file"

ways=(annulus pipe fifo)
if command -v socat > /dev/null; then ways+=(socat); fi

# What sends, and what receives.
file_to() { cat "$file"; }
tar_to() { tar c -C "$dir" .; }
drop() { cat > /dev/null; }
sum() { cksum; }
store() { cat > "$room/copy"; }

# move WAY PRODUCER CONSUMER
move() {
    case $1 in
    pipe) "$2" | "$3" ;;
    fifo)
        "$2" > "$fifo" &
        "$3" < "$fifo"
        wait $!
        ;;
    annulus)
        from "$2" "$annulus" send "$name" &
        into "$3" "$annulus" recv "$name"
        wait $!
        ;;
    socat)
        rm -f "$socket"
        into "$3" socat -u -b 65536 "UNIX-LISTEN:$socket" - &
        until [ -S "$socket" ]; do :; done
        from "$2" socat -u -b 65536 - "UNIX-CONNECT:$socket"
        wait $!
        ;;
    esac
}

# Where the command itself can read or write the file, it does, as a user would have it.
from() { # PRODUCER COMMAND...
    if [ "$1" = file_to ]; then "${@:2}" < "$file"; else "$1" | "${@:2}"; fi
}
into() { # CONSUMER COMMAND...
    if [ "$1" = store ]; then "${@:2}" > "$room/copy"; else "${@:2}" | "$1"; fi
}

report() { # "LABEL WAY seconds..." lines on standard input
    awk -v ways="${ways[*]}" '
        function sorted(list, n, out,   i, j, t) {
            for (i = 1; i <= n; i++) out[i] = list[i]
            for (i = 2; i <= n; i++) for (j = i; j > 1 && out[j] < out[j-1]; j--) { t = out[j]; out[j] = out[j-1]; out[j-1] = t }
        }
        function middle(s, n) { return n % 2 ? s[(n+1)/2] : (s[n/2] + s[n/2+1]) / 2 }
        { time[$2, $1] = $3; if ($1 > n) n = $1 }
        END {
            count = split(ways, way, " ")
            printf "  %-9s %8s %8s %8s   %s\n", "", "median s", "least", "most", "time over the pipe (least .. most)"
            for (w = 1; w <= count; w++) {
                for (i = 1; i <= n; i++) { one[i] = time[way[w], i]; ratio[i] = time[way[w], i] / time["pipe", i] }
                sorted(one, n, a); sorted(ratio, n, b)
                printf "  %-9s %8.3f %8.3f %8.3f   %.2f (%.2f .. %.2f)\n", way[w], middle(a, n), a[1], a[n], middle(b, n), b[1], b[n]
            }
        }'
}

now() { date +%s%N; }
wrong() { echo "$1: what arrived is not what was sent" >&2; exit 1; }

compare() { # PRODUCER CONSUMER
    local expected='' got round way start
    [ "$2" = sum ] && expected=$("$1" | cksum)
    for ((round = 0; round <= rounds; round++)); do
        for way in "${ways[@]}"; do
            start=$(now)
            got=$(move "$way" "$1" "$2")
            start=$(($(now) - start))
            case $2 in
            sum) [ "$got" = "$expected" ] || wrong "$way" ;;
            store) cmp "$file" "$room/copy" || wrong "$way" ;;
            esac
            [ "$round" = 0 ] || printf '%d %s %d.%09d\n' "$round" "$way" $((start / 1000000000)) $((start % 1000000000))
        done
    done | report
}

echo "$(nproc) processors, $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg), $rounds rounds"
echo "file of $mib MiB, consumer: cat > /dev/null"
compare file_to drop
echo "file of $mib MiB, consumer: cksum"
compare file_to sum
echo "file of $mib MiB, consumer: another file"
compare file_to store
if [ -n "$dir" ]; then
    echo "tar of $dir, $(tar c -C "$dir" . | wc -c) bytes, consumer: cat > /dev/null"
    compare tar_to drop
fi
echo "load $(cut -d' ' -f1-3 /proc/loadavg)"
