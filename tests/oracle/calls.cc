#include "tests/oracle/calls.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace memhp::oracle {

namespace {

std::string decode_base64(std::string_view text) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = digits.find(c);
    if (digit == std::string_view::npos) {
      break;  // '=': padding
    }
    bits = bits << 6 | static_cast<unsigned>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  return out;
}

}  // namespace

json result_of(long ret) {
  json result{{"ret", ret < 0 ? -1 : ret}, {"errno", nullptr}};
  if (ret < 0) {
    result["errno"] = strerrorname_np(errno);
  }
  return result;
}

void sort(json& array) {
  std::ranges::sort(array.get_ref<json::array_t&>());
}

json stat_fields(const struct stat& st) {
  std::array<char, 16> mode{};
  std::snprintf(mode.data(), mode.size(), "%06o", st.st_mode);
  return {{"mode", mode.data()},       {"size", st.st_size},
          {"nlink", st.st_nlink},      {"uid", st.st_uid},
          {"gid", st.st_gid},          {"blocks", st.st_blocks},
          {"blksize", st.st_blksize},  {"atime", st.st_atim.tv_sec},
          {"mtime", st.st_mtim.tv_sec}};
}

caller::caller(std::string root, std::string scratch)
    : root_{std::move(root)}, scratch_{std::move(scratch)} {}

caller::~caller() {
  for (const auto& [slot, descriptor] : slots_) {
    ::close(descriptor);
  }
  for (const int descriptor : replaced_) {
    ::close(descriptor);
  }
}

std::string caller::host_path(const std::string& path) const {
  if (path == "/sys" || path.starts_with("/sys/")) {
    return root_ + path.substr(4);
  }
  if (path.starts_with("/proc/")) {
    return path;
  }
  return path.starts_with('/') ? scratch_ + path : path;
}

std::string caller::sys_path(const std::string& path) const {
  return path.starts_with(root_) ? "/sys" + path.substr(root_.size()) : path;
}

std::string caller::bytes_of(const json& op, const std::string& key) {
  if (const auto head = op.find(key + "_b64_head"); head != op.end()) {
    std::string bytes = decode_base64(head->get<std::string>());
    bytes.resize(op.at("len").get<std::size_t>(), bytes.back());
    return bytes;
  }
  if (const auto all = op.find(key + "_b64"); all != op.end()) {
    return decode_base64(all->get<std::string>());
  }
  return op.value(key, "");
}

int caller::fd(const json& op) const {
  const auto found = slots_.find(op.at("slot").get<int>());
  return found == slots_.end() ? -1 : found->second;
}

json caller::call(const json& op) {
  const auto found = functions().find(op.at("op").get<std::string>());
  if (found == functions().end()) {
    throw std::runtime_error{"no such call: " + op.dump()};
  }
  return (this->*found->second)(op);
}

const std::map<std::string_view, caller::function>& caller::functions() {
  static const std::map<std::string_view, function> table{
      {"open", &caller::do_open},
      {"close", &caller::do_close},
      {"read", &caller::do_read},
      {"pread", &caller::do_pread},
      {"readv2", &caller::do_readv},
      {"write", &caller::do_write},
      {"pwrite", &caller::do_pwrite},
      {"writev2", &caller::do_writev},
      {"writebad", &caller::do_write_bad_pointer},
      {"splicein", &caller::do_splice},
      {"sendfile", &caller::do_sendfile},
      {"lseek", &caller::do_lseek},
      {"fstat", &caller::do_fstat},
      {"fgetfl", &caller::do_getfl},
      {"mmap", &caller::do_mmap},
      {"ftruncate", &caller::do_ftruncate},
      {"fsync", &caller::do_fsync},
      {"fallocate", &caller::do_fallocate},
      {"flock", &caller::do_flock},
      {"ioctl", &caller::do_ioctl},
      {"poll", &caller::do_poll},
      {"reopen", &caller::do_reopen},
      {"fdlink", &caller::do_fdlink},
      {"ino_init", &caller::do_inotify_init},
      {"ino_add", &caller::do_inotify_add},
      {"ino_read", &caller::do_inotify_read},
      {"put", &caller::do_put},
      {"open+write+close", &caller::do_put},
      {"cat", &caller::do_cat},
      {"ls", &caller::do_ls},
      {"lstat", &caller::do_lstat},
      {"statfs", &caller::do_statfs},
      {"readlink", &caller::do_readlink},
      {"access", &caller::do_access},
      {"mkdir", &caller::do_mkdir},
      {"rmdir", &caller::do_rmdir},
      {"unlink", &caller::do_unlink},
      {"rename", &caller::do_rename},
      {"symlink", &caller::do_symlink},
      {"link", &caller::do_link},
      {"mknod", &caller::do_mknod},
      {"truncate", &caller::do_truncate},
      {"chmod", &caller::do_chmod},
      {"chown", &caller::do_chown},
      {"utime", &caller::do_utime},
      {"setxattr", &caller::do_setxattr},
      {"getxattr", &caller::do_getxattr},
      {"listxattr", &caller::do_listxattr},
      {"rmxattr", &caller::do_removexattr},
      {"chdir", &caller::do_chdir},
      {"getcwd", &caller::do_getcwd},
  };
  return table;
}

}  // namespace memhp::oracle
