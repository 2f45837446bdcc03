#include "fuse/host_acpi_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace memhp {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

// The list of a host, and the tree of a machine.
class HostAcpiDevices : public testing::Test {
 protected:
  HostAcpiDevices() : sys_{"/tmp/memhp-acpi.XXXXXX"} { (void)mkdtemp(sys_.data()); }
  ~HostAcpiDevices() override { fs::remove_all(sys_); }

  void host_has(const std::string& name, const std::string& target) {
    const fs::path list = fs::path{sys_} / "bus/acpi/devices";
    fs::create_directories(list);
    fs::create_symlink(target, list / name);
  }
  // Where a link of the tree's list leads; empty if there is none.
  std::string link(const std::string& name) {
    const auto found = tree_.find("bus/acpi/devices/" + name);
    return found ? tree_.readlink(**found) : "";
  }

  std::string sys_;
  kernfs_root tree_;
};

TEST_F(HostAcpiDevices, AreListedByTheHostsOwnLinks) {
  const std::string bus = "../../../devices/LNXSYSTM:00/LNXSYBUS:00";
  host_has("LNXSYBUS:00", bus);
  host_has("PNP0A08:00", bus + "/PNP0A08:00");
  host_has("device:1f", bus + "/PNP0A08:00/device:1f");
  link_host_acpi_devices(tree_, sys_);
  EXPECT_EQ(link("LNXSYBUS:00"), bus);
  EXPECT_EQ(link("PNP0A08:00"), bus + "/PNP0A08:00");
  EXPECT_EQ(link("device:1f"), bus + "/PNP0A08:00/device:1f");
}

TEST_F(HostAcpiDevices, GiveWayToTheMachines) {
  const std::string bus = "../../../devices/LNXSYSTM:00/LNXSYBUS:00";
  host_has("PNP0A06:04", bus + "/PNP0A06:04");
  host_has("ACPI0012:00", bus + "/ACPI0012:00");
  host_has("PNP0A06:40", bus + "/PNP0A06:40");
  host_has("PNP0C80:00", bus + "/PNP0A06:04/PNP0C80:00");
  host_has("PNP0C80:01", bus + "/ACPI0004:00/PNP0C80:01");
  host_has("ACPI0010:00", bus + "/ACPI0012:00/ACPI0010:00");
  link_host_acpi_devices(tree_, sys_);
  EXPECT_EQ(link("PNP0A06:04"), bus + "/PNP0A06:04");
  EXPECT_EQ(link("ACPI0012:00"), bus + "/ACPI0012:00");
  EXPECT_EQ(link("PNP0A06:40"), bus + "/PNP0A06:40");
  EXPECT_THAT(link("PNP0C80:00"), IsEmpty());
  EXPECT_THAT(link("PNP0C80:01"), IsEmpty());
  EXPECT_THAT(link("ACPI0010:00"), IsEmpty());
}

TEST_F(HostAcpiDevices, MayBeNoneOrOddOnes) {
  link_host_acpi_devices(tree_, sys_);
  EXPECT_TRUE(tree_.find("bus/acpi/devices"));
  host_has("absolute", "/devices/LNXSYSTM:00");
  host_has("elsewhere", "../../../devices/system/memory");
  std::ofstream{sys_ + "/bus/acpi/devices/file"} << "no link";
  link_host_acpi_devices(tree_, sys_);
  for (const char* name : {"absolute", "elsewhere", "file"})
    EXPECT_THAT(link(name), IsEmpty()) << name;
}

}  // namespace
}  // namespace memhp
