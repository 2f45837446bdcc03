#!/bin/bash
# Listing a long directory costs a request for each 32 KiB of names and attributes, not a
# lookup for each entry; ls -l asks for nothing more, and a second listing for nothing.
. "$(dirname "$0")/lib.sh"
blocks=5000

# Figures come by shared memory: to ask for them is no request.
counts() {
  for kind in lookup getattr readdir open read write other; do
    echo "$kind $(figure $kind "$1")"
  done
}
# requests_of MOUNT COMMAND...: leaves what each kind has become more by in `requests`.
requests_of() {
  mount=$1
  shift
  counts "$mount" >before
  "$@" >listed
  requests=$(counts "$mount" | paste -d " " before - | while read -r kind was _ is; do
    echo "$kind=$((is - was))"
  done)
}
# expect_requests WHAT KIND=MOST...: no kind has more, and one that is not named has none.
expect_requests() {
  what=$1
  shift
  for made in $requests; do
    kind=${made%%=*}
    most=0
    for bound in "$@"; do [ "${bound%%=*}" != "$kind" ] || most=${bound#*=}; done
    [ "${made#*=}" -le "$most" ] || fail "$what: more than $most of $kind:" $requests
  done
}

for options in -l -U; do
  mount=$scratch/hp$options
  up "$mount" --block-size 2M --memory $((blocks * 2))M --commit touch
  # Three names lead to the directory. 5,000 entries of 168 bytes are 27 times 32 KiB.
  # What is left is one look at the directory, and what ls -l asks about attributes once.
  requests_of "$mount" ls $options "$mount/devices/system/memory"
  expect "blocks that ls $options lists" "$(grep -c "memory[0-9]*$" listed)" $blocks
  expect_requests "a first ls $options" lookup=3 readdir=28 getattr=2 open=1 other=4
  case $requests in *readdir=0*) fail "a first ls $options asked for no names:" $requests ;; esac
  requests_of "$mount" ls $options "$mount/devices/system/memory"
  expect_requests "a second ls $options" getattr=1 other=4
done
