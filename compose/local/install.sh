#!/usr/bin/env bash
# install.sh GROUP: installs what this machine lacks, and says what and why. With nothing to do it is done at once.
#
#   demo   what `make demo` needs: a compiler, Postgres, MariaDB, Java and Maven (for Kafka)
#   test   demo, and what the tests use beside it
#   lint   demo, and what `make lint` uses beside it
#
# It serves Debian and Ubuntu (apt, as root or by way of sudo) and macOS (Homebrew); elsewhere it lists what is
# missing. No system service runs afterwards that did not run before: Sluice needs the programs alone.
set -euo pipefail

group=${1:-demo}
case $group in demo | test | lint) ;; *)
  echo "usage: ${0##*/} demo|test|lint" >&2
  exit 2
  ;;
esac

say() { printf '%s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '    hint: %s\n' "$2" >&2
  exit 1
}

# --- What has to be there ----------------------------------------------------------------------------------------

PATH=$PATH:/usr/sbin:/usr/local/sbin:${CARGO_HOME:-$HOME/.cargo}/bin
brew_prefix=${HOMEBREW_PREFIX:-/opt/homebrew}

has() { command -v "$1" >/dev/null 2>&1; }
has_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || compgen -G '/usr/pgsql-*/bin/postgres' >/dev/null ||
    compgen -G "$brew_prefix/opt/postgresql@*/bin/postgres" >/dev/null ||
    compgen -G '/usr/local/opt/postgresql@*/bin/postgres' >/dev/null
}
has_java() { [ -x "$brew_prefix/opt/openjdk/bin/java" ] || { has java && java -version >/dev/null 2>&1; }; }
has_library() { has pkg-config && pkg-config --exists "$1"; }
has_certificates() { [ -e /etc/ssl/certs/ca-certificates.crt ] || [ "$(uname)" = Darwin ]; }
has_smtp_server() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c "import aiosmtpd" 2>/dev/null; then return 0; fi
  done
  return 1
}
has_chromium() { has chromium || has chromium-browser || has google-chrome || [ -d '/Applications/Chromium.app' ]; }

missing_apt=() missing_brew=()
# need CHECK APT BREW WHY: an empty package name means that the system brings it along.
need() {
  local check=$1 apt=$2 brew=$3 why=$4
  # shellcheck disable=SC2086 # a check is a command and its argument
  if $check; then return; fi
  if [ "$system" = brew ]; then
    [ -z "$brew" ] || { say "missing: $brew ($why)" && missing_brew+=("$brew"); }
  else
    say "missing: $apt ($why)"
    missing_apt+=("$apt")
  fi
}

if has apt-get; then system=apt; elif [ "$(uname)" = Darwin ]; then system=brew; else system=other; fi
[ "$system" != brew ] || has brew || fail "Homebrew is missing" "https://brew.sh says how to install it"

if ! has cargo; then
  fail "Rust is missing" \
    "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y, then open a new shell and try again"
fi

need "has cc" gcc "" "C compiler: parts of the libraries are C"
need "has c++" g++ "" "C++ compiler: librdkafka"
need "has make" make "" "builds librdkafka"
need "has pkg-config" pkg-config pkg-config "finds OpenSSL and zlib"
need "has_library openssl" libssl-dev openssl@3 "TLS"
need "has_library zlib" zlib1g-dev "" "compression in librdkafka"
need has_certificates ca-certificates "" "fetching crates and Kafka"
need has_postgres postgresql postgresql@17 "the warehouse and Sluice's own tables"
need "has mariadbd" mariadb-server mariadb "the synthetic shop"
need has_java default-jre-headless openjdk "runs Apache Kafka"
need "has mvn" maven maven "fetches Apache Kafka"
if [ "$group" = test ]; then
  need "has psql" postgresql-client libpq "tests look into Postgres"
  need "has mariadb" mariadb-client mariadb "tests look into MariaDB"
  need "has pgrep" procps "" "tests look for processes that were left"
  need "has promtool" prometheus prometheus "tests of alert rules and dashboards"
  need "has openssl" openssl "" "certificates for tests of TLS"
  need has_smtp_server python3-aiosmtpd "" "a mail server for the tests of mails"
  need has_chromium chromium "" "tests of the web page"
fi
[ "$group" != lint ] || need "has shellcheck" shellcheck shellcheck "checks the shell scripts"

# --- Installing it -----------------------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Services of packages that were just installed must not start, now or at the next boot; those that ran go on as
# they did, and may be restarted by an upgrade.
policy=/usr/sbin/policy-rc.d
hold_services() {
  if [ -e $policy ]; then as_root mv $policy $policy.before-sluice; fi
  as_root tee $policy >/dev/null <<'POLICY'
#!/bin/sh
# Put here for one installation by Sluice's install.sh, which takes it away again.
while [ $# -gt 0 ]; do case $1 in -*) shift ;; *) break ;; esac; done
if [ -d /run/systemd/system ] && systemctl is-active --quiet "$1"; then exit 0; fi
exit 101
POLICY
  as_root chmod 755 $policy
}
release_services() {
  as_root rm -f $policy
  if [ -e $policy.before-sluice ]; then as_root mv $policy.before-sluice $policy; fi
}

units=(postgresql mariadb prometheus)
known_units() {
  local unit
  [ -d /run/systemd/system ] || return 0
  for unit in "${units[@]}"; do
    if systemctl cat "$unit.service" >/dev/null 2>&1; then printf '%s ' "$unit"; fi
  done
}

install_apt() {
  if [ "$(id -u)" != 0 ] && ! has sudo; then
    fail "installing needs root or sudo" "as root: apt-get install ${missing_apt[*]}"
  fi
  say "installing with apt-get: ${missing_apt[*]}"
  local log before unit
  log=$(mktemp)
  before=" $(known_units)"
  trap release_services EXIT
  hold_services
  if ! { as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing_apt[@]}"; } \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get failed; all it said is in $log"
  fi
  release_services
  trap - EXIT
  rm -f "$log"
  for unit in $(known_units); do
    case $before in *" $unit "*) ;; *) as_root systemctl disable --quiet "$unit" || true ;; esac
  done
  say "installed; no system service was started"
}

if [ ${#missing_apt[@]} -gt 0 ]; then
  if [ "$system" = apt ]; then install_apt; else
    fail "this system's packages are not known here" "install by hand what is listed above (Debian's names)"
  fi
fi
if [ ${#missing_brew[@]} -gt 0 ]; then
  say "installing with Homebrew: ${missing_brew[*]}"
  brew install --quiet "${missing_brew[@]}"
fi
if [ "$system" = brew ] && [ "$group" = test ] && ! has_smtp_server; then
  python3 -m pip install --quiet --user aiosmtpd
fi
