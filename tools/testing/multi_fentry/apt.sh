# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Package suites that this machine does not list, through a private apt
# configuration: own sources, own lists, own cache. The mirror is the one the
# machine already uses, the system's sources stay untouched, and nothing here
# needs root (apt still verifies every signature and hash). Sourced.

# The lines "uri suite component" that the machine itself uses for Debian.
# apt itself fills in these fields.
# shellcheck disable=SC2016
apt_own_targets() {
	apt-get indextargets \
		--format '$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 2>/dev/null |
		awk -F'|' '$1 == "Packages" && $2 == "Debian" { print $3, $4, $5 }' | sort -u
}

# The URI of the machine's main Debian archive (not security, not updates).
apt_mirror() {
	local codename uri

	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	uri=$(apt_own_targets | awk -v c="$codename" '$2 == c && $3 == "main" { print $1; exit }')
	[ -n "$uri" ] ||
		uri=$(apt_own_targets | awk '$3 == "main" && $2 !~ /-security/ { print $1; exit }')
	[ -n "$uri" ] ||
		die "apt knows no Debian mirror on this machine; run 'apt-get update' as root, or pass KERNEL=/path/to/linux"
	echo "$uri"
}

# apt_private <name> <suites ...>: set APT_OPTS to a private configuration
# with these suites and fetch its package lists. With APT_WITH_OWN the machine's
# own suites, too; with APT_FOREIGN=<Debian's name> another architecture, of
# which nothing counts as installed.
apt_private() {
	local dir=$CACHE/apt/$1 mirror suite uri comp key=/usr/share/keyrings/debian-archive-keyring.gpg opt=

	shift
	mirror=$(apt_mirror)
	[ ! -r "$key" ] || opt="[signed-by=$key] "
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	{
		for suite in "$@"; do
			echo "deb $opt$mirror $suite main"
		done
		if [ -n "${APT_WITH_OWN:-}" ]; then
			apt_own_targets | while read -r uri suite comp; do
				echo "deb $opt$uri $suite $comp"
			done
		fi
	} >"$dir/sources.list"
	APT_OPTS=(
		-o "Dir::Etc::SourceList=$dir/sources.list"
		-o "Dir::Etc::SourceParts=/dev/null"
		-o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache=$dir/cache"
		-o "Dir::Cache::Archives=$dir/cache/archives"
		-o "APT::Sandbox::User=$(id -un)"
		-o "Acquire::Languages=none"
		-o "APT::Update::Error-Mode=any"
		-o "Acquire::Retries=3"
	)
	if [ -n "${APT_FOREIGN:-}" ]; then
		: >"$dir/status"
		APT_OPTS+=(
			-o "APT::Architecture=$APT_FOREIGN"
			-o "APT::Architectures::=$APT_FOREIGN"
			-o "Dir::State=$dir"
			-o "Dir::State::Status=$dir/status"
			-o "Debug::NoLocking=1"
		)
	fi
	apt-get "${APT_OPTS[@]}" -qq update >"$dir/update.log" 2>&1
}
