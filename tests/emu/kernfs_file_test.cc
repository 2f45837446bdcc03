// Open attribute files: what emu/kernfs_file.cc does.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "emu/kernfs.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

// A file that shows `text` and keeps what was written last.
class notebook final : public kobject {
 public:
  std::string text = "online\n";
  std::string written;
  int shows = 0;
  int stores = 0;

  static result<std::string> show(kobject& object, task&) {
    auto& self = static_cast<notebook&>(object);
    ++self.shows;
    return self.text;
  }
  static result<std::size_t> store(kobject& object, std::string_view data, task&) {
    auto& self = static_cast<notebook&>(object);
    ++self.stores;
    self.written = data;
    return data.size();
  }
};

constexpr attribute both{
    .name = "both", .mode = 0644, .show = notebook::show, .store = notebook::store};
constexpr attribute long_one{
    .name = "long", .mode = 0444, .show = notebook::show, .unbounded = true};
constexpr attribute shown{.name = "shown", .mode = 0444, .show = notebook::show};
constexpr attribute stored{.name = "stored", .mode = 0200, .store = notebook::store};
constexpr attribute neither{.name = "neither", .mode = 0644};

class KernfsFile : public testing::Test {
 protected:
  kernfs_ref make(const attribute& attr) {
    return *root_.create_file(*root_.make_path("d"), attr, book_);
  }
  std::unique_ptr<kernfs_open_file> open(const attribute& attr, int flags = O_RDWR) {
    return std::move(*kernfs_open_file::open(*make(attr), flags));
  }
  std::string read(kernfs_open_file& file, std::uint64_t at, std::size_t size = 9'999) {
    const auto part = file.read(at, size, by_);
    return part ? *part : "errno " + std::to_string(static_cast<int>(part.error()));
  }

  notebook book_;
  kernfs_root root_;
  task by_;
};

TEST_F(KernfsFile, KeepsTheContentOfItsOpenFileUntilOffsetZero) {
  auto file = open(both);
  EXPECT_EQ(read(*file, 0, 2), "on");
  book_.text = "offline\n";
  EXPECT_FALSE(file->read_calls_show(2));
  EXPECT_EQ(read(*file, 2), "line\n");
  EXPECT_EQ(read(*file, 7), "");
  EXPECT_EQ(book_.shows, 1);
  EXPECT_TRUE(file->read_calls_show(0));
  EXPECT_EQ(read(*file, 0), "offline\n");
  EXPECT_EQ(read(*file, 3), "line\n");  // a pread elsewhere generates anew
  EXPECT_EQ(book_.shows, 3);
}

TEST_F(KernfsFile, OpensOnlyForWhatSomeModeBitAllows) {
  const auto error = [](const kernfs_ref& node, int flags) {
    return error_of(kernfs_open_file::open(*node, flags));
  };
  const kernfs_ref read_only = make(shown);
  const kernfs_ref write_only = make(stored);
  EXPECT_EQ(error(read_only, O_RDONLY), 0);
  EXPECT_EQ(error(read_only, O_WRONLY), EACCES);
  EXPECT_EQ(error(read_only, O_RDWR), EACCES);
  EXPECT_EQ(error(write_only, O_WRONLY), 0);
  EXPECT_EQ(error(write_only, O_RDONLY), EACCES);
  EXPECT_EQ(error(read_only, O_RDONLY | O_DIRECT), EINVAL);
  EXPECT_EQ(error(read_only, O_RDONLY | O_NONBLOCK | O_SYNC), 0);

  const mode_t all = 0666;  // opens then, but there is nothing to write to
  root_.setattr(*read_only, {.mode = &all});
  auto file = kernfs_open_file::open(*read_only, O_WRONLY);
  ASSERT_TRUE(file);
  EXPECT_EQ(error_of((*file)->write("x", by_)), EIO);
}

TEST_F(KernfsFile, IsAnIoErrorWithoutShowOrStore) {
  auto file = open(neither);
  EXPECT_EQ(read(*file, 0), "errno 5");
  EXPECT_EQ(error_of(file->write("x", by_)), EIO);
}

TEST_F(KernfsFile, HandsOverOneWriteAsOneCommandOfAPageAtMost) {
  auto file = open(both);
  EXPECT_EQ(*file->write("online", by_), 6U);
  EXPECT_EQ(book_.written, "online");
  EXPECT_EQ(*file->write(std::string(6000, 'x'), by_), 4096U);
  EXPECT_EQ(book_.written.size(), 4096U);
  EXPECT_EQ(*file->write("", by_), 0U);
  EXPECT_EQ(book_.stores, 2);
}

TEST_F(KernfsFile, ShowsAPageAtMostUnlessUnbounded) {
  book_.text = std::string(5000, 'x');
  EXPECT_EQ(read(*open(both), 0).size(), 4096U);
  EXPECT_EQ(read(*open(long_one, O_RDONLY), 0).size(), 5000U);
}

TEST_F(KernfsFile, GivesOutTheRestOfWhatItHadFetchedAfterARemovalAndNothingElse) {
  auto file = open(both);
  auto fresh = std::move(*kernfs_open_file::open(file->node(), O_RDWR));
  EXPECT_EQ(read(*file, 0, 2), "on");
  root_.remove(file->node());
  EXPECT_EQ(read(*file, 2), "line\n");
  EXPECT_EQ(read(*file, 7), "errno 19");
  EXPECT_EQ(read(*file, 0), "errno 19");
  EXPECT_EQ(read(*fresh, 0), "errno 19");
  EXPECT_EQ(error_of(fresh->write("online", by_)), ENODEV);
  EXPECT_EQ(error_of(fresh->write("", by_)), ENODEV);
  EXPECT_EQ(book_.stores, 0);
}

}  // namespace
}  // namespace memhp
