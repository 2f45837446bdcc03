#include "emu/slab_layout.h"

#include <algorithm>
#include <bit>

#include "blocks/units.h"

namespace memhp {
namespace {

constexpr unsigned word = 8;  // sizeof(void *)
constexpr unsigned cache_line = 64;
constexpr unsigned max_order = 10;
constexpr unsigned slub_max_order = 3;  // above it only for objects that need it
constexpr unsigned page_bytes = static_cast<unsigned>(page_size);
constexpr unsigned track_bytes = 32;  // struct track: who allocated, who freed
constexpr unsigned largest_object = page_bytes << max_order;

unsigned align_up(unsigned value, unsigned to) {
  return (value + to - 1) / to * to;
}

unsigned slab_bytes(unsigned order) {
  return page_bytes << order;
}

// calculate_alignment().
unsigned alignment(const cache_shape& shape) {
  unsigned align = shape.align;
  if ((shape.flags & slab_hwcache_align) != 0) {
    unsigned line = cache_line;
    while (shape.object_size <= line / 2) line /= 2;
    align = std::max(align, line);
  }
  return align_up(std::max(align, word), word);
}

// get_order(): the smallest that holds so many bytes.
unsigned get_order(unsigned bytes) {
  return static_cast<unsigned>(std::bit_width((bytes - 1) / page_bytes));
}

// calc_slab_order(): the smallest order that wastes no more than 1/fraction.
unsigned calc_slab_order(unsigned size, unsigned min_objects, unsigned highest,
                         unsigned fraction) {
  unsigned order = get_order(min_objects * size);
  for (; order <= highest; ++order)
    if (slab_bytes(order) % size <= slab_bytes(order) / fraction) break;
  return order;
}

// calculate_order(): many objects and little waste, then fewer and more of it.
unsigned calculate_order(unsigned size, unsigned nr_cpus) {
  const unsigned wanted = 4 * (static_cast<unsigned>(std::bit_width(nr_cpus)) + 1);
  unsigned min_objects = std::min(wanted, slab_bytes(slub_max_order) / size);
  for (; min_objects > 1; --min_objects)
    for (unsigned fraction = 16; fraction >= 4; fraction /= 2)
      if (const unsigned order =
              calc_slab_order(size, min_objects, slub_max_order, fraction);
          order <= slub_max_order)
        return order;
  const unsigned one = calc_slab_order(size, 1, slub_max_order, 1);
  return one <= slub_max_order ? one : calc_slab_order(size, 1, max_order, 1);
}

// slub_cpu_partial.
unsigned default_cpu_partial(unsigned size, slab_flags flags) {
  if ((flags & slab_debug_flags) != 0) return 0;
  if (size >= page_bytes) return 6;
  if (size >= 1024) return 24;
  return size >= 256 ? 52 : 120;
}

}  // namespace

result<slab_layout> calculate_sizes(const cache_shape& shape, unsigned nr_cpus) {
  const slab_flags flags = shape.flags;
  if (shape.object_size < word || shape.object_size > largest_object / 2 ||
      shape.align > page_bytes || (shape.align != 0 && !is_power_of_two(shape.align)))
    return fail(errc::invalid_argument);

  slab_layout out{.align = alignment(shape)};
  unsigned size = align_up(shape.object_size, word);
  // A byte behind the object must be free to be checked.
  if ((flags & slab_red_zone) != 0 && size == shape.object_size) size += word;
  out.inuse = size;
  // The free pointer lies inside the object unless somebody looks at free objects.
  const bool poisoned = (flags & (slab_typesafe_by_rcu | slab_poison)) != 0;
  if (poisoned || shape.constructor) {
    out.offset = size;
    size += word;
  } else {
    out.offset = shape.object_size / 2 / word * word;
  }
  if ((flags & slab_store_user) != 0) size += 2 * track_bytes;
  if ((flags & slab_red_zone) != 0) size += word + align_up(word, out.align);

  out.size = align_up(size, out.align);
  out.order = calculate_order(out.size, nr_cpus);
  if (out.order > max_order) return fail(errc::invalid_argument);
  out.objects = slab_bytes(out.order) / out.size;
  out.min_partial =
      std::clamp(static_cast<unsigned>(std::bit_width(out.size) - 1) / 2, 5U, 10U);
  out.cpu_partial = default_cpu_partial(out.size, flags);
  return out;
}

unsigned slabs_for(unsigned objects, const slab_layout& layout) {
  return (objects * 2 + layout.objects - 1) / layout.objects;
}

}  // namespace memhp
