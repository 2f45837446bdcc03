// Makes the system calls that the recordings list and reports their results in the
// recordings' own form: {"ret":7,"errno":null,"at":"write"}, {"ret":-1,"errno":"EBUSY"}.
//
// Thread safety: one caller belongs to one thread of one process; fork() copies it.
#pragma once

#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace memhp::oracle {

using json = nlohmann::json;

class caller {
 public:
  // Paths under /sys are looked up under `root`; other absolute paths (a recording names
  // /tmp and /mnt to cross a file system border) in the directory `scratch`.
  caller(std::string root, std::string scratch);
  ~caller();
  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;

  // Makes the call that the object describes: "op" and its arguments as in the
  // recordings and in steps.jsonl. An unknown "op" is std::runtime_error.
  json call(const json& op);

  std::string host_path(const std::string& path) const;
  // The reverse, for paths that the kernel tells.
  std::string sys_path(const std::string& path) const;

  // The bytes that a record writes or has read: "text" or "data", or their base64 forms.
  static std::string bytes_of(const json& op, const std::string& key);

 private:
  using function = json (caller::*)(const json&);
  static const std::map<std::string_view, function>& functions();

  int fd(const json& op) const;
  std::string path(const json& op) const { return host_path(op.at("path")); }

  // On open files, by "slot".
  json do_open(const json& op);
  json do_close(const json& op);
  json do_read(const json& op);
  json do_pread(const json& op);
  json do_readv(const json& op);
  json do_write(const json& op);
  json do_pwrite(const json& op);
  json do_writev(const json& op);
  json do_write_bad_pointer(const json& op);
  json do_splice(const json& op);
  json do_sendfile(const json& op);
  json do_lseek(const json& op);
  json do_fstat(const json& op);
  json do_getfl(const json& op);
  json do_mmap(const json& op);
  json do_ftruncate(const json& op);
  json do_fsync(const json& op);
  json do_fallocate(const json& op);
  json do_flock(const json& op);
  json do_ioctl(const json& op);
  json do_poll(const json& op);
  json do_reopen(const json& op);
  json do_fdlink(const json& op);
  json do_inotify_init(const json& op);
  json do_inotify_add(const json& op);
  json do_inotify_read(const json& op);

  // On paths.
  json do_put(const json& op);
  json do_cat(const json& op);
  json do_ls(const json& op);
  json do_lstat(const json& op);
  json do_statfs(const json& op);
  json do_readlink(const json& op);
  json do_access(const json& op);
  json do_mkdir(const json& op);
  json do_rmdir(const json& op);
  json do_unlink(const json& op);
  json do_rename(const json& op);
  json do_symlink(const json& op);
  json do_link(const json& op);
  json do_mknod(const json& op);
  json do_truncate(const json& op);
  json do_chmod(const json& op);
  json do_chown(const json& op);
  json do_utime(const json& op);
  json do_setxattr(const json& op);
  json do_getxattr(const json& op);
  json do_listxattr(const json& op);
  json do_removexattr(const json& op);
  json do_chdir(const json& op);
  json do_getcwd(const json& op);

  const std::string root_;
  const std::string scratch_;
  std::map<int, int> slots_;   // slot -> descriptor
  std::vector<int> replaced_;  // what an open of a slot in use left behind
};

// {"ret": ret, "errno": name}: the result of a call that sets errno.
json result_of(long ret);
// Sorts a JSON array.
void sort(json& array);
// The fields of a stat that the recordings have.
json stat_fields(const struct stat& st);

}  // namespace memhp::oracle
