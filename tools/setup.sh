#!/usr/bin/env bash
# Prepare this checkout: system packages that are missing, a virtual environment, the package itself.
# With --tests also what nothing but tests runs: STILTS, which brings Java, Chromium with what drives it, and curl.
# Scripts of others for the page are npm packages; where npm or its registry is not to be had, the page works without them.
#
# Does nothing, quickly, if all is there. System packages are installed as root or through sudo; where neither is to be had
# it says what to install and exits 2. Once a day PostgreSQL is brought to the newest minor release that the distribution
# offers, unless a server runs from it. No cluster is made, started or stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly STAMP=$VENV/.tapdb-setup
readonly OLDEST_PYTHON=11 # 3.11
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/tapdb.conf
readonly POLICY=/usr/sbin/policy-rc.d
readonly PAGE_STAMP=$VENV/.tapdb-page
readonly PAGE_PACKAGES=.cache/page
readonly CHECKED=$VENV/.tapdb-server-checked # its time: when a newer PostgreSQL was last looked for

for_tests=false

say() { printf 'setup: %s\n' "$*" >&2; }
give_up() {
    printf 'setup: %s\n' "$@" >&2
    exit 2
}

# --- what is there ---------------------------------------------------------------------------------------------------

# A Python that is new enough and can make virtual environments.
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, $OLDEST_PYTHON))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

# pg_ctl, looked for as tapdb.server.programs does: PATH, then the distributions' folders, newest first.
find_pg_ctl() {
    command -v pg_ctl || compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' | sort -rV | head -n 1 ||
        compgen -G '/usr/pgsql-*/bin/pg_ctl' | sort -rV | head -n 1 || true
}

# The control file of the extension $2, if it is installed for the server of pg_ctl $1.
control_file() {
    local bin share
    bin=$(dirname "$(readlink -f "$1")")
    for share in "${bin%/lib/postgresql/*}/share/postgresql/$(server_major "$1")" "${bin%/bin}/share"{/postgresql,}; do
        if [ -e "$share/extension/$2.control" ]; then
            echo "$share/extension/$2.control"
            return
        fi
    done
}

has_extension() { [ -n "$(control_file "$@")" ]; }

server_major() { "$1" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'; }

# Names of Debian packages for what is missing, one a line.
missing_packages() {
    local pg_ctl major
    if [ -z "$(find_python)" ]; then
        if has_candidate python3.11 && ! distribution_python_is_new; then
            printf '%s\n' python3.11 python3.11-venv
        else
            printf '%s\n' python3 python3-venv
        fi
    fi
    pg_ctl=$(find_pg_ctl)
    if [ -n "$pg_ctl" ]; then
        major=$(server_major "$pg_ctl")
    else
        major=$(offered_major)
        # A list of packages that does not know PostgreSQL yet: `postgresql` brings the distribution's own.
        echo "postgresql${major:+-$major}"
    fi
    if [ -z "$pg_ctl" ] || ! has_extension "$pg_ctl" pg_sphere; then echo "postgresql${major:+-$major}-pgsphere"; fi
    if [ -z "$pg_ctl" ] || ! has_extension "$pg_ctl" pgtap; then echo "postgresql${major:+-$major}-pgtap"; fi
    command -v pg_prove >/dev/null || echo libtap-parser-sourcehandler-pgtap-perl
    if $for_tests; then
        command -v stilts >/dev/null || echo stilts
        command -v chromium >/dev/null || echo chromium
        command -v curl >/dev/null || echo curl
        command -v source-extractor >/dev/null || echo source-extractor
        # What drives Chromium is a Node of Playwright's own, which wants it.
        has_library libatomic.so.1 || echo libatomic1
    fi
}

has_library() { compgen -G "/usr/lib/*/$1" >/dev/null || compgen -G "/usr/lib*/$1" >/dev/null; }
offered_major() { apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1; }
has_candidate() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }
distribution_python_is_new() {
    local version
    version=$(apt-cache policy python3 2>/dev/null | sed -nE 's/.*Candidate: 3\.([0-9]+).*/\1/p')
    [ "${version:-0}" -ge $OLDEST_PYTHON ]
}

# Debian packages of the server that have a newer release, as "NAME PRESENT OFFERED", one a line.
outdated_server() {
    local pg_ctl name present offered
    pg_ctl=$(find_pg_ctl)
    if [ -z "$pg_ctl" ] || ! command -v dpkg-query >/dev/null; then return; fi
    for name in "postgresql-$(server_major "$pg_ctl")" "postgresql-client-$(server_major "$pg_ctl")" libpq5; do
        present=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$name" 2>/dev/null) || continue
        [ "${present% *}" = installed ] || continue
        offered=$(apt-cache policy "$name" 2>/dev/null | sed -nE 's/^ +Candidate: ([^(].*)/\1/p')
        if [ -n "$offered" ] && dpkg --compare-versions "${present#* }" lt "$offered"; then
            echo "$name ${present#* } $offered"
        fi
    done
}

# Whether a server runs from the programs of $1, a pg_ctl: an upgrade would break or restart it.
server_runs() {
    local folder link
    folder=$(dirname "$(readlink -f "$1")")
    for link in /proc/[0-9]*/exe; do
        case $(readlink "$link" 2>/dev/null) in "$folder"/postgres | "$folder/postgres (deleted)") return 0 ;; esac
    done
    # What runs under another account shows its command line alone. (The brackets keep grep from finding itself.)
    grep -qsxz "$folder/postgre[s]" /proc/[0-9]*/cmdline
}

say_server() {
    local pg_ctl
    pg_ctl=$(find_pg_ctl)
    say "$("$pg_ctl" --version | sed -E 's/^[^(]*\(PostgreSQL\)/PostgreSQL/'), pg_sphere $(
        sed -nE "s/^default_version *= *'(.*)'.*/\1/p" "$(control_file "$pg_ctl" pg_sphere)"
    ), $("$VENV/bin/python" -V)"
}

# --- system packages -------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Root, or sudo that works without a password, or a person at the terminal who can type one.
can_be_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || return
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }
}

install_packages() {
    local packages=("$@") planned
    if ! command -v apt-get >/dev/null; then
        give_up "this system has no apt-get; install with its own package manager:" \
            "  Python >= 3.11 with venv; PostgreSQL >= 14 (server and contrib) with the extensions pgsphere and pgTAP; pg_prove;" \
            "  for tests also STILTS, Chromium, SExtractor and curl (commands stilts, chromium, source-extractor, curl), and libatomic" \
            "then run this again."
    fi
    if ! can_be_root; then
        give_up "system packages are missing, and this user is neither root nor allowed to use sudo." \
            "Ask an administrator to run:" \
            "$(administrator_line "${packages[@]}")" \
            "then run this again."
    fi
    update_list
    # Only now is it known which PostgreSQL the distribution brings.
    mapfile -t packages < <(missing_packages)
    planned=$(apt-get -s install --no-install-recommends "${packages[@]}") ||
        give_up "apt-get cannot install: ${packages[*]}" "$planned"
    # "Inst NAME [present version] (new version ...": an upgrade breaks servers that run.
    if grep -qE '^Inst (postgresql[^ ]*|libpq5) \[' <<<"$planned" && server_runs "$(find_pg_ctl)"; then
        give_up "apt-get would upgrade PostgreSQL, from which a server runs, to install: ${packages[*]}" \
            "The upgrade would restart or break that server, so do it yourself when it suits you:" \
            "  sudo apt-get install --no-install-recommends ${packages[*]}"
    fi
    say "installing ${packages[*]}"
    if [ -z "$(find_pg_ctl)" ]; then
        # Debian makes and starts a cluster with each server that is installed: not this time.
        as_root mkdir -p "$(dirname $NO_CLUSTER)"
        echo 'create_main_cluster = false' | as_root tee $NO_CLUSTER >/dev/null
    fi
    without_services apt_install "${packages[@]}"
    as_root rm -f $NO_CLUSTER
}

# What an administrator types so that no cluster is made beside the packages.
administrator_line() {
    if [ -z "$(find_pg_ctl)" ]; then
        printf '  sudo mkdir -p %s && echo "create_main_cluster = false" | sudo tee %s && ' "$(dirname $NO_CLUSTER)" $NO_CLUSTER
    else
        printf '  '
    fi
    echo "sudo apt-get update && sudo apt-get install --no-install-recommends $*"
}

update_list() {
    say "updating the list of packages"
    as_root apt-get -qq update || say "the list of packages could not be updated; trying with the one that is there"
}

# Bring PostgreSQL to the newest minor release on offer. A machine where that cannot be done now is told, and goes on.
upgrade_server() {
    local outdated names
    if [ -n "$(find "$CHECKED" -mmin -1440 2>/dev/null)" ] || ! command -v apt-get >/dev/null; then return; fi
    if can_be_root; then update_list; fi
    outdated=$(outdated_server)
    if [ -n "$outdated" ]; then
        names=$(cut -d' ' -f1 <<<"$outdated" | tr '\n' ' ')
        say "a newer PostgreSQL is on offer: $(sed -E 's/^([^ ]+) ([^ ]+) ([^ ]+)$/\1 \3 (here: \2)/' <<<"$outdated" | head -n 1)"
        if server_runs "$(find_pg_ctl)"; then
            say "a server runs from the present one; when it suits you: sudo apt-get install --only-upgrade ${names% }"
        elif ! can_be_root; then
            say "ask an administrator to run: sudo apt-get update && sudo apt-get install --only-upgrade ${names% }"
        else
            say "upgrading ${names% }"
            # shellcheck disable=SC2086 # one word for each package
            without_services apt_install --only-upgrade $names
        fi
    fi
    touch "$CHECKED"
}

# Run a command while the package manager starts no service: an upgrade would start clusters that their owner has stopped.
without_services() {
    if [ -e $POLICY ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee $POLICY >/dev/null
    as_root chmod 755 $POLICY
    trap 'as_root rm -f $POLICY' EXIT
    "$@"
    as_root rm -f $POLICY
    trap - EXIT
}

# What packages say while they install is shown only if that fails.
apt_install() {
    local log
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes NEEDRESTART_MODE=l \
        apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        rm -f "$log"
        give_up "apt-get could not install: $*"
    }
    rm -f "$log"
}

# --- Python ----------------------------------------------------------------------------------------------------------

digest() { { cat requirements.lock pyproject.toml && "$VENV/bin/python" -V; } | sha256sum | cut -d' ' -f1; }

venv_works() { "$VENV/bin/python" -c "import sys; sys.exit(sys.version_info < (3, $OLDEST_PYTHON))" 2>/dev/null; }

install_python_packages() {
    local pip=("$VENV/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
    say "installing $(wc -l <requirements.lock) Python packages into $VENV; this takes about a minute"
    "${pip[@]}" install --requirement requirements.lock
    "${pip[@]}" install --no-deps --no-build-isolation --editable .
    # Metadata that an older builder left in the tree would be found before that of the installation.
    rm -rf tapdb.egg-info
    digest >"$STAMP"
}

# --- scripts of the page ---------------------------------------------------------------------------------------------

page_digest() { cat services/page/package*.json tools/page_bundle/*.mjs | sha256sum | cut -d' ' -f1; }

# Put the scripts of others that the page uses into services/page/vendor.
install_page_scripts() {
    local log
    [ -f services/page/package-lock.json ] || return 0
    if [ "$(cat "$PAGE_STAMP" 2>/dev/null)" = "$(page_digest)" ] && [ -d services/page/vendor ]; then return; fi
    if ! command -v npm >/dev/null && command -v apt-get >/dev/null && can_be_root; then
        say "installing nodejs npm"
        # In a shell of its own: what gives up there does not end this one.
        (without_services apt_install nodejs npm) || true
    fi
    if ! command -v npm >/dev/null; then
        say "npm is missing: the page works as plain forms and tables. Install nodejs and npm, and run this again for more"
        return
    fi
    say "installing scripts of the page"
    mkdir -p $PAGE_PACKAGES
    cp services/page/package.json services/page/package-lock.json $PAGE_PACKAGES
    log=$(mktemp)
    if (cd $PAGE_PACKAGES && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --no-update-notifier --loglevel=error) \
        >"$log" 2>&1 && node tools/page_bundle/build.mjs $PAGE_PACKAGES >>"$log" 2>&1; then
        page_digest >"$PAGE_STAMP"
    else
        tail -n 5 "$log" >&2
        say "npm could not install the scripts of the page, which works as plain forms and tables. Run this again for more"
    fi
    rm -f "$log"
}

main() {
    local missing
    case ${1-} in
    '') ;;
    --tests) for_tests=true ;;
    *) give_up "usage: tools/setup.sh [--tests]" ;;
    esac
    # Two runs at once must not both write to the environment; the lock is on this file.
    exec 9<tools/setup.sh
    flock 9
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086 # one word for each package
        install_packages $missing
        missing=$(missing_packages)
        [ -z "$missing" ] || give_up "still missing after the installation:" "$missing"
    fi
    if ! venv_works; then
        say "making $VENV"
        "$(find_python)" -m venv --clear "$VENV"
    fi
    [ "$(cat "$STAMP" 2>/dev/null)" = "$(digest)" ] || install_python_packages
    install_page_scripts
    upgrade_server
    say_server
}

main "$@"
