// kernel/slab: a directory a cache, with its figures and tunables.
//
// A write to a cache's file runs with the active reference of the file held; where it
// goes on to the caches of memory cgroups it takes slab_mutex (lock_rules::cache_store).
// Whoever removes the files under slab_mutex therefore waits for somebody who may wait
// for slab_mutex: seed 004.
//
// Mirrors the slab_attrs of mm/slub.c (6.1), and slab_attr_store() of 4.19.
#pragma once

#include "blocks/result.h"
#include "emu/kmem_cache.h"

namespace memhp {

// sysfs_slab_add(): the cache's directory, and its uevent. file_exists if one of that
// name is there. The caller holds slab_mutex; nothing is waited for.
result<> sysfs_slab_add(kmem_cache& cache);

// kobject_uevent(KOBJ_REMOVE) and kobject_del(). The latter waits for whoever is inside
// one of the files.
void sysfs_slab_remove_event(kmem_cache& cache);
void kobject_del(kmem_cache& cache);

}  // namespace memhp
