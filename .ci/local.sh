# A whole cluster on this machine for a script of the gate, which sources this file; `left_nothing` ends it.
#
#   . .ci/local.sh NAME BINARY

name=$1
vaquita=$(realpath "${2:?a binary is needed}")
directory=$(realpath "$(mktemp -d)")
# Addresses of its own beside those of a cluster that somebody runs here, and a home of its own.
subnet="127.$((100 + $$ / 256 % 28)).$(($$ % 256))"
export HOME="$directory/home"
unset VAQUITA_SERVER VAQUITA_USER VAQUITA_PASSWORD
mkdir "$HOME"
output="$directory/output"
: >"$output"

fail() {
    printf '%s: %s\n' "$name" "$1" >&2
    cat "$output" >&2
    exit 1
}

# The processes that name the directory on their command lines: servers of the cluster, whoever
# started them.
left() {
    local words
    for process in /proc/[0-9]*; do
        words=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
        case "$words" in
            *"-mode "*"$directory/"*) echo "${process#/proc/}" ;;
        esac
    done
}

local_pid=
clean() {
    [ -z "$local_pid" ] || kill -KILL "$local_pid" 2>/dev/null || true
    for pid in $(left); do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$directory"
}
trap clean EXIT

# A job of a script ignores Ctrl-C unless job control is on.
set -m
"$vaquita" local --dir "$directory/a cluster" --subnet "$subnet" >"$output" 2>&1 &
local_pid=$!
set +m

# It prints how to stop it when everything is green.
green() { grep -q 'Ctrl-C' "$output"; }
for ((i = 0; i < 600; i++)); do
    ! green || break
    kill -0 "$local_pid" 2>/dev/null || fail "vaquita local ended by itself"
    sleep 0.05
done
green || fail "not green after 30 s"
grep 'all green' "$output"


# Ends it by Ctrl-C; nothing is left of it.
left_nothing() {
    kill -INT "$local_pid"
    status=0
    wait "$local_pid" || status=$?
    local_pid=
    [ "$status" = 0 ] || fail "vaquita local ended with $status"
    tail -n 1 "$output"
    [ -z "$(left)" ] || fail "left behind: $(left)"
}
