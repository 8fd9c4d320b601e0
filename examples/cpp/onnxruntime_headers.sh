#!/bin/sh
# Puts ONNX Runtime's C++ headers into FOLDER/include: those of Debian's libonnxruntime-dev, of the
# release that is installed or, where that has none, of Debian 13. Installs nothing, needs no root.
#   sh onnxruntime_headers.sh FOLDER
set -eu
package=libonnxruntime-dev
mkdir -p "$1"
cd "$1"
own=$(pwd)/apt # apt's lists and settings for another release, apart from the system's

if ! apt-get -qq download "$package" 2>/dev/null; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' \
    'Component: main' | grep -v security | head -n 1)
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$own/state/lists/partial" "$own/cache/archives/partial"
  : >"$own/state/status"
  echo "deb [signed-by=$keys] $mirror trixie main" >"$own/sources.list"
  set -- -qq -o "Dir::State=$own/state" -o "Dir::State::status=$own/state/status" \
    -o "Dir::Cache=$own/cache" -o "Dir::Etc::sourcelist=$own/sources.list" \
    -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root
  apt-get "$@" update
  apt-get "$@" download "$package"
fi
dpkg-deb --extract "$package"_*.deb package
rm -rf include
mv package/usr/include/onnxruntime include
rm -rf package apt "$package"_*.deb
