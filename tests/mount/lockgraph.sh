#!/bin/sh
# memhp lockgraph: what it prints and draws, and how it ends.
. "$(dirname "$0")/lib.sh"
status_of memhp lockgraph
expect "status" $status 0
expect "complaints" "$(cat err)" ""
expect_line out "^  HELD +WANTED +TAKEN +HELD AT +WANTED AT$"
expect_line out "^  cpu_hotplug_lock +mem_hotplug_lock +r>w"
expect_no_line out "^!"
cp out patched
memhp lockgraph --era patched >out
expect "the default era" "$(cat out)" "$(cat patched)"

# Seed 000's cycle, in the words of its kernel.
memhp lockgraph --era seed-000-before >out
expect_line out "^! kn->count(#[0-9]+)? +cpu_hotplug_lock\.rw_sem +r>r "
expect_line out "^! cpu_hotplug_lock\.rw_sem +mem_hotplug_lock\.rw_sem +r>w r>r "
expect_line out "^! mem_hotplug_lock\.rw_sem +kn->count(#[0-9]+)? +w>w +remove_memory "

status_of memhp lockgraph --era v4.20 --dot -o graph.dot
expect "status of --dot" $status 0
expect "output of --dot -o" "$(cat out err)" ""
expect_line graph.dot "^digraph locks \{$"
expect_line graph.dot 'label="Locks of 5666848774ef \(4\.20-5\.5\): [0-9]+ orders'
expect_line graph.dot '^  c[0-9]+ -> c[0-9]+ \[tooltip=".*color=red'
expect_line graph.dot '^  c[0-9]+ -> c[0-9]+ \[tooltip="[^"]*"\];$'
memhp lockgraph --dot >graph.dot
expect_no_line graph.dot "red"

# A picture is dot's work: here what stands in for it.
mkdir bin
cat >bin/dot <<'DOT'
#!/bin/sh
[ "$*" = -Tsvg ] || exit 9
head -n 1
echo "<svg/>"
DOT
chmod +x bin/dot
status_of env PATH="$PWD/bin:$PATH" "$MEMHP" lockgraph --svg
expect "status of --svg" $status 0
expect "what dot wrote" "$(cat out)" "digraph locks {
<svg/>"
printf '#!/bin/sh\nexit 9\n' >bin/dot
status_of env PATH="$PWD/bin:$PATH" "$MEMHP" lockgraph --svg
expect "status of a dot that fails" $status 1
expect_one_line err
expect_line err "dot failed, with exit status 9"
rm bin/dot
status_of env PATH="$PWD/bin" "$MEMHP" lockgraph --svg -o picture.svg
expect "status without dot" $status 1
expect_one_line err
expect_line err "no program dot.*package graphviz.*--dot"
[ ! -e picture.svg ] || fail "a picture without dot"

# Wrong words: one line, with what is nearest, and 2.
wrong() {
  pattern=$1
  shift
  status_of memhp lockgraph "$@"
  expect "status of lockgraph $*" $status 2
  expect_one_line err
  expect_line err "$pattern"
  expect "output of lockgraph $*" "$(cat out)" ""
}
wrong "--era '381eab5a6ee8' is unknown: write 381eab4a6ee8 or " --era 381eab5a6ee8
wrong "--era 'before' is unknown" --era before # of what
wrong "'remove-vs-onlin' is no scenario: write remove-vs-online" --scenario remove-vs-onlin
wrong "--era 'befor' is unknown: write before" --scenario remove-vs-online --era befor
wrong "--dot excludes --svg|--svg excludes --dot" --dot --svg
wrong "unknown option --png" --png
wrong "'surplus'" surplus
status_of memhp lockgraph -o /no/such/dir/file
expect "status without the file" $status 1
expect_one_line err
status_of sh -c '"$MEMHP" lockgraph >/dev/full'
expect "status on a full disk" $status 1
expect_one_line err

# What a scenario does is less, and has its cycle only.
status_of memhp lockgraph --scenario remove-vs-online
case $(cat err) in *ThreadSanitizer*) skip "fibers do not work under ThreadSanitizer" ;; esac
expect "status of a scenario" $status 0
expect "its cycle" "$(grep -c '^!' out)" 3
memhp lockgraph --scenario remove-vs-online --era after >out
expect_no_line out "^!"
memhp lockgraph --scenario probe-vs-online --validate-dev-mutex >out
expect_line out "^! &dev->mutex "
