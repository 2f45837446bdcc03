#!/bin/bash
# A minute of memhp stress, or $MEMHP_STRESS_TIME, finds nothing.
. "$(dirname "$0")/lib.sh"
memhp stress --time "${MEMHP_STRESS_TIME:-60s}" --faults --quiet --seed "${MEMHP_STRESS_SEED:-1}" \
  --workers mix=2,online=1@200,offline=1@200,probe=1@100,remove=1@100,dimm=1@20,cpu=1@50,slab=1@50,list=1@10,hold=1@100,signal=1@50
