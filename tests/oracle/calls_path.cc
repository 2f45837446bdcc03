// The calls on paths.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "tests/oracle/calls.h"

namespace memhp::oracle {

namespace {

constexpr std::size_t page = 4096;

json at(json result, const char* where) {
  result["at"] = where;
  return result;
}

// The numeric arguments of chmod, chown and access are recorded as decimal strings.
long number(const json& op, std::size_t index) {
  return std::strtol(op.at("args").at(index).get<std::string>().c_str(), nullptr, 10);
}

std::string argument(const json& op, std::size_t index) {
  return op.at("args").at(index).get<std::string>();
}

}  // namespace

json caller::do_put(const json& op) {
  const int out = ::open(path(op).c_str(), O_WRONLY);
  if (out < 0) {
    return at(result_of(out), "open");
  }
  const std::string text = bytes_of(op, "text");
  json result = at(result_of(::write(out, text.data(), text.size())), "write");
  ::close(out);
  return result;
}

json caller::do_cat(const json& op) {
  const int in = ::open(path(op).c_str(), O_RDONLY);
  if (in < 0) {
    return at(result_of(in), "open");
  }
  std::string all;
  std::string buffer(16 * page, '\0');
  long got = 0;
  while ((got = ::read(in, buffer.data(), buffer.size())) > 0) {
    all.append(buffer, 0, static_cast<std::size_t>(got));
  }
  json result = at(result_of(got), "read");
  ::close(in);
  if (got == 0) {
    result["ret"] = all.size();
    result["data"] = all;
  }
  return result;
}

json caller::do_ls(const json& op) {
  DIR* dir = ::opendir(path(op).c_str());
  if (dir == nullptr) {
    return result_of(-1);
  }
  json names = json::array();
  errno = 0;
  while (const dirent* entry = ::readdir(dir)) {
    names.push_back(json::array({entry->d_name, entry->d_type}));
  }
  json result = result_of(errno == 0 ? 0 : -1);
  ::closedir(dir);
  result["raw_order"] = names;
  return result;
}

json caller::do_lstat(const json& op) {
  struct stat st{};
  json result = result_of(::lstat(path(op).c_str(), &st));
  result.update(stat_fields(st));
  return result;
}

json caller::do_statfs(const json& op) {
  struct statfs fs{};
  json result = result_of(::statfs(path(op).c_str(), &fs));
  result.update({{"f_type", fmt::format("0x{:x}", static_cast<unsigned long>(fs.f_type))},
                 {"f_bsize", fs.f_bsize},
                 {"f_blocks", fs.f_blocks},
                 {"f_files", fs.f_files},
                 {"f_namelen", fs.f_namelen}});
  return result;
}

json caller::do_readlink(const json& op) {
  std::string target(page, '\0');
  const long length = ::readlink(path(op).c_str(), target.data(), target.size());
  json result = result_of(length);
  if (length >= 0) {
    result["data"] = target.substr(0, static_cast<std::size_t>(length));
  }
  return result;
}

json caller::do_access(const json& op) {
  return result_of(::access(path(op).c_str(), static_cast<int>(number(op, 0))));
}

json caller::do_mkdir(const json& op) {
  return result_of(::mkdir(path(op).c_str(), 0755));
}

json caller::do_rmdir(const json& op) {
  return result_of(::rmdir(path(op).c_str()));
}

json caller::do_unlink(const json& op) {
  return result_of(::unlink(path(op).c_str()));
}

json caller::do_rename(const json& op) {
  return result_of(::rename(path(op).c_str(), host_path(argument(op, 0)).c_str()));
}

json caller::do_symlink(const json& op) {
  return result_of(::symlink(op.at("path").get<std::string>().c_str(),
                             host_path(argument(op, 0)).c_str()));
}

json caller::do_link(const json& op) {
  return result_of(::link(path(op).c_str(), host_path(argument(op, 0)).c_str()));
}

json caller::do_mknod(const json& op) {
  return result_of(::mkfifo(path(op).c_str(), 0644));
}

json caller::do_truncate(const json& op) {
  return result_of(::truncate(path(op).c_str(), op.at("length").get<off_t>()));
}

json caller::do_chmod(const json& op) {
  const auto mode = op.contains("mode_bits") ? op["mode_bits"].get<mode_t>()
                                             : static_cast<mode_t>(number(op, 0));
  return result_of(::chmod(path(op).c_str(), mode));
}

json caller::do_chown(const json& op) {
  return result_of(::lchown(path(op).c_str(), static_cast<uid_t>(number(op, 0)),
                            static_cast<gid_t>(number(op, 1))));
}

json caller::do_utime(const json& op) {
  const std::array<timespec, 2> times{
      {{.tv_sec = op.at("atime").get<time_t>(), .tv_nsec = 0},
       {.tv_sec = op.at("mtime").get<time_t>(), .tv_nsec = 0}}};
  return result_of(::utimensat(AT_FDCWD, path(op).c_str(), times.data(), 0));
}

json caller::do_setxattr(const json& op) {
  const std::string value = op.at("value");
  return result_of(::setxattr(path(op).c_str(), op.at("name").get<std::string>().c_str(),
                              value.data(), value.size(), 0));
}

json caller::do_getxattr(const json& op) {
  std::string value(page, '\0');
  const long length =
      ::getxattr(path(op).c_str(), op.at("name").get<std::string>().c_str(), value.data(),
                 value.size());
  json result = result_of(length);
  if (length >= 0) {
    result["data"] = value.substr(0, static_cast<std::size_t>(length));
  }
  return result;
}

json caller::do_listxattr(const json& op) {
  std::string names(page, '\0');
  const long length = ::listxattr(path(op).c_str(), names.data(), names.size());
  json result = result_of(length);
  if (length >= 0) {
    result["data"] = names.substr(0, static_cast<std::size_t>(length));
  }
  return result;
}

json caller::do_removexattr(const json& op) {
  return result_of(
      ::removexattr(path(op).c_str(), op.at("name").get<std::string>().c_str()));
}

json caller::do_chdir(const json& op) {
  return result_of(::chdir(path(op).c_str()));
}

json caller::do_getcwd(const json& /*op*/) {
  std::string buffer(page, '\0');
  if (::getcwd(buffer.data(), buffer.size()) == nullptr) {
    return result_of(-1);
  }
  buffer.resize(buffer.find('\0'));
  const std::string path = sys_path(buffer);
  json result = result_of(static_cast<long>(path.size()) + 1);
  result["data"] = path;
  return result;
}

}  // namespace memhp::oracle
