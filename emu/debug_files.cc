#include "emu/debug_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "emu/acpi_memhotplug.h"
#include "emu/dax_bus.h"
#include "emu/memory_device.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::int64_t max_errno = 4095;

constexpr std::string_view help_text =
    R"(Files for what a real machine has no file for. All take one command a write.

plug_dimm      "size=SIZE node=N": plugs a memory module into node N. Its blocks appear
               offline, or as auto_online_blocks says, before the write returns. SIZE is
               in bytes or with K, M, G, T behind it, and whole memory blocks.
               EINVAL bad words, size or node; ENOSPC no address or slot left.
               To take it out again: echo 1 > .../PNP0C80:NN/eject, NN is its slot.
plug_dax       "size=SIZE node=N [start=ADDRESS]": a dax device appears, bound to device_dax;
               node N is where its memory goes once kmem has it. SIZE and ADDRESS are
               multiples of 2M: the whole memory blocks inside become system RAM.
               EINVAL, ENOSPC as above; EEXIST if something else is at ADDRESS.
               echo daxN.0 > /sys/bus/dax/drivers/device_dax/unbind, then to kmem/new_id.
remove_block   "N" or "memoryN": removes a probed block, for which sysfs has no remover.
               EBUSY unless it is offline, ENODEV if there is none, EPERM if it belongs
               to a DIMM or was there at boot.
page_reserve   "ADDRESS [COUNT]": the kernel takes COUNT pages (1) from the physical
               ADDRESS on. Their block cannot go offline: EBUSY.
               ENXIO unless that memory is online, EBUSY while it goes offline.
page_unreserve the same words: gives them back.
page_pin       "ADDRESS [COUNT]": pages that can be moved, but not now. Offlining their
               block waits in going-offline until they are unpinned or a signal comes.
page_unpin     the same words: lets go.
kmem_cache_create  "NAME size=SIZE [align=N] [debug=FZPUT] [WORD...]": creates a slab
               cache, kernel/slab/NAME. The letters are those of the kernel's slub_debug:
               sanity checks, red zone, poison, user, trace. Words: hwcache_align,
               cache_dma, reclaim_account, typesafe_by_rcu, ctor.
               EEXIST if the name is taken, also by a cache whose files are still there.
kmem_cache_memcg   "NAME ID": a cache of memory cgroup ID below NAME, as before 5.9; it gets
               what is written to the files of NAME.
kmem_cache_alloc   "NAME [COUNT] [cpu=N] [node=N]": allocates objects (1). The blocks that
               they are in cannot go offline: EBUSY. ENOMEM if no block has room.
kmem_cache_free    "NAME [COUNT]": frees the oldest.
kmem_cache_destroy "NAME": EBUSY while it has objects.
torture_onoff      "COUNT": takes CPU after CPU down and up again, so many times.
torture_stats      "COUNT": creates and destroys a cache with debug=U, so many times. Run
               both at once: what the kernel's rcutorture did when it met a deadlock.
hv_balloon     with --platform hyperv: "hot_add ADDRESS PAGES" is what the host asks for; a
               kworker adds it, 128M (or a block) at a time, and waits after each until a
               block went online, or 5 s; "expire" ends that wait. EINVAL unless whole
               sections, EPERM after one was added where something is.
uevents        the last 1024 uevents, oldest first, one a line.
proc           the files of the tree's proc/: lockdep, lockdep_chains, lockdep_stats and
               lock_stat (0 clears) in the formats of /proc; kmsg, what the kernel said;
               sys/kernel/lock_stat, 1 counts waits and holds of locks.
help           this text.

Faults, each a directory with the files of the kernel's fault injection: probability (in
percent), interval (only every so many chances are drawn for) and times (so often, then no
more; -1 for ever; 1 at first).
fail_populate  the host has no memory for a block that goes online: ENOMEM.
fail_notifier  the notifiers of memory veto online or offline with `error`, -1 (EPERM) at
               first.
slow_populate  the host takes delay_ms milliseconds (at most 10000) to give a block.
slow_migrate   the pages of a block take as long to move: it waits in going-offline, or
               until a signal comes.

Errors are injected as on a kernel with notifier error injection: write a negative errno
to ../notifier-error-inject/memory/actions/MEM_GOING_{ONLINE,OFFLINE}/error; 0 ends it.
)";

kernel& kernel_of(kobject& object) {
  return static_cast<debug_files&>(object).k;
}

result<std::string> help_show(kobject&, task&) {
  return std::string{help_text};
}

result<std::string> uevents_show(kobject& object, task&) {
  return kernel_of(object).uevents.text();
}

// --- plug_dimm, plug_dax
// -------------------------------------------------------------------------

struct plug_request {
  std::uint64_t size = 0;
  int node = 0;
  std::optional<phys_addr> start;
};

// "size=SIZE node=N", and start=ADDRESS where that may be said.
result<plug_request> parse_plug(std::string_view data, bool with_start) {
  plug_request wanted;
  bool sized = false;
  for (const std::string_view word : words_of(data)) {
    const auto equals = std::min(word.find('='), word.size());
    const std::string_view key = word.substr(0, equals);
    const auto value = memparse(word.substr(std::min(equals + 1, word.size())));
    if (!value) return fail(value.error());
    if (key == "size") {
      wanted.size = *value;
      sized = true;
    } else if (key == "node" && *value < max_nodes) {
      wanted.node = static_cast<int>(*value);
    } else if (key == "start" && with_start) {
      wanted.start = phys_addr{*value};
    } else {
      return fail(errc::invalid_argument);
    }
  }
  if (!sized) return fail(errc::invalid_argument);
  return wanted;
}

result<std::size_t> plug_dimm_store(kobject& object, std::string_view data, task&) {
  const auto dimm = parse_plug(data, false);
  if (!dimm) return fail(dimm.error());
  kernel& k = kernel_of(object);
  if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
  const auto slot = k.acpi->plug(dimm->size, dimm->node);
  k.locks.unlock_device_hotplug_sysfs();
  if (!slot) return fail(slot.error());
  return data.size();
}

result<std::size_t> plug_dax_store(kobject& object, std::string_view data, task&) {
  const auto wanted = parse_plug(data, true);
  if (!wanted) return fail(wanted.error());
  kernel& k = kernel_of(object);
  if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
  const auto region =
      k.dax->plug(wanted->size, wanted->node, wanted->start ? &*wanted->start : nullptr);
  k.locks.unlock_device_hotplug_sysfs();
  if (!region) return fail(region.error());
  return data.size();
}

// --- remove_block ----------------------------------------------------------------------

result<> remove_probed_block(kernel& k, block_id id)
    REQUIRES(k.locks.device_hotplug_lock) {
  const phys_range range{{id.value * k.config.block_size}, k.config.block_size};
  const auto blocks = memory_blocks_in(k, range);
  if (blocks.empty()) return fail(errc::no_such_device);
  const memory_block& block = blocks.front()->block;
  if (block.boot_memory || block.group) return fail(errc::operation_not_permitted);
  return remove_memory(k, range);
}

result<std::size_t> remove_block_store(kobject& object, std::string_view data, task&) {
  kernel& k = kernel_of(object);
  std::string_view word = written_word(data);
  if (word.starts_with("memory")) word.remove_prefix(6);
  const auto id = kstrtoull(word);
  if (!id) return fail(id.error());
  if (*id >= k.config.max_memory / k.config.block_size) return fail(errc::no_such_device);
  if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
  const auto removed = remove_probed_block(k, {*id});
  k.locks.unlock_device_hotplug_sysfs();
  if (!removed) return fail(removed.error());
  return data.size();
}

// --- page_reserve, page_pin and their opposites ----------------------------------------

struct page_run {
  pfn first;
  std::uint64_t count = 1;
};

result<page_run> parse_page_run(kernel& k, std::string_view data) {
  const auto words = words_of(data);
  if (words.empty() || words.size() > 2) return fail(errc::invalid_argument);
  const auto address = kstrtoull(words[0]);
  const auto count = words.size() == 2 ? kstrtoull(words[1]) : 1;
  if (!address || !count) return fail(errc::invalid_argument);
  const std::uint64_t limit = k.config.max_memory >> page_shift;
  const page_run run{.first = phys_addr{*address}.frame(), .count = *count};
  if (run.first.value >= limit || run.count > limit - run.first.value)
    return fail(errc::no_such_device_or_address);
  return run;
}

// Marks a page that is in use now. Only memory that is online is: the mark comes first
// and the look at the state second, while offlining changes the state first and counts
// the marks second, so that one of the two sees the other.
result<> mark_page(kernel& k, const memory_block& block, pfn frame, page_flag flag) {
  if (auto ok = k.pages.set(frame, flag); !ok) return ok;
  const block_state state = block.state();
  if (state == block_state::online) return {};
  (void)k.pages.clear(frame, flag);
  return fail(state == block_state::going_offline ? errc::device_or_resource_busy
                                                  : errc::no_such_device_or_address);
}

// Marks or unmarks every page of the run; on an error those done stay done.
result<> mark_pages(kernel& k, const page_run& run, page_flag flag, bool mark) {
  read_guard hold{k.memory_blocks_lock};
  for (std::uint64_t i = 0; i < run.count; ++i) {
    const pfn frame = run.first + i;
    const auto at = k.memory_blocks.find(k.block_of({frame.value << page_shift}));
    if (at == k.memory_blocks.end()) return fail(errc::no_such_device_or_address);
    const memory_block& block = at->second->block;
    if (k.pages.test(frame, flag) == mark) continue;
    if (auto ok = mark ? mark_page(k, block, frame, flag) : k.pages.clear(frame, flag);
        !ok)
      return ok;
    k.nodes[static_cast<std::size_t>(block.nid)]->used_pages +=
        mark ? 1 : ~std::uint64_t{0};
  }
  return {};
}

template <page_flag Flag, bool Mark>
result<std::size_t> mark_store(kobject& object, std::string_view data, task&) {
  kernel& k = kernel_of(object);
  const auto run = parse_page_run(k, data);
  if (!run) return fail(run.error());
  const auto done = mark_pages(k, *run, Flag, Mark);
  k.migrate_waitq.wake_all();  // also after an error: some may have been let go
  if (!done) return fail(done.error());
  return data.size();
}

constexpr std::array memhp_attrs = {
    attribute{.name = "help", .mode = 0444, .show = help_show, .unbounded = true},
    attribute{.name = "uevents", .mode = 0444, .show = uevents_show, .unbounded = true},
    attribute{.name = "plug_dimm",
              .mode = 0200,
              .store = plug_dimm_store,
              .store_sleeps = true},
    attribute{
        .name = "plug_dax", .mode = 0200, .store = plug_dax_store, .store_sleeps = true},
    attribute{.name = "remove_block",
              .mode = 0200,
              .store = remove_block_store,
              .store_sleeps = true},
    attribute{.name = "page_reserve",
              .mode = 0200,
              .store = mark_store<page_flag::reserved, true>},
    attribute{.name = "page_unreserve",
              .mode = 0200,
              .store = mark_store<page_flag::reserved, false>},
    attribute{
        .name = "page_pin", .mode = 0200, .store = mark_store<page_flag::pinned, true>},
    attribute{.name = "page_unpin",
              .mode = 0200,
              .store = mark_store<page_flag::pinned, false>},
};

}  // namespace

class debug_files::injected_error final : public kobject {
 public:
  explicit injected_error(memory_event event) : event{event} {}

  const memory_event event;
  std::atomic<std::int64_t> error = 0;

  static result<std::string> show(kobject& object, task&) {
    return fmt::format("{}\n", static_cast<injected_error&>(object).error.load());
  }
  static result<std::size_t> store(kobject& object, std::string_view data, task&) {
    const auto value = kstrtoll(data);
    if (!value) return fail(value.error());
    static_cast<injected_error&>(object).error =
        std::clamp(*value, -max_errno, std::int64_t{0});
    return data.size();
  }
};

namespace {

// As debugfs makes it; the names are filled in by the class above.
template <class Error>
constexpr attribute error_attr{
    .name = "error", .mode = 0644, .show = Error::show, .store = Error::store};

// What debugfs itself decides. Its root is the administrator's alone, because most files
// below may be read by everybody.
void make_debugfs(kernfs_root& sysfs) {
  const auto root = sysfs.create_dir(*sysfs.make_path("kernel"), "debug", nullptr, 0700);
  sysfs.hide_sizes(**root);
}

}  // namespace

debug_files::debug_files(kernel& kern)
    : k{kern},
      errors_{std::make_unique<injected_error>(memory_event::going_online),
              std::make_unique<injected_error>(memory_event::going_offline)},
      notifier_{.name = "memory-notifier-error-inject",
                .priority = 0,
                .call = [this](memory_event event, const memory_notify&) {
                  return inject(event);
                }} {
  make_debugfs(k.sysfs);
  const kernfs_ref dir = k.sysfs.make_path("kernel/debug/memhp");
  for (const attribute& attr : memhp_attrs) (void)k.sysfs.create_file(*dir, attr, *this);
  for (const auto& error : errors_) {
    const kernfs_ref action = k.sysfs.make_path(fmt::format(
        "kernel/debug/notifier-error-inject/memory/actions/{}", to_string(error->event)));
    (void)k.sysfs.create_file(*action, error_attr<injected_error>, *error);
  }
  k.memory_chain.add(notifier_);
}

debug_files::~debug_files() {
  k.memory_chain.remove(notifier_);
}

result<> debug_files::inject(memory_event event) const {
  for (const auto& error : errors_)
    if (error->event == event && error->error != 0)
      return fail(static_cast<errc>(-error->error.load()));
  return {};
}

}  // namespace memhp
