// Ordinary records while a scan runs: the stream is the truth, so what is in the way of a new name goes, and what is missing is left to
// its description, which is still to come. See scan.h.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "lib/apply/applier.h"
#include "lib/apply/removal.h"
#include "lib/apply/scan.h"
#include "lib/format/rel_path.h"

namespace tfs::apply {

using format::parent_of;

// Room for a new name: its directories are there, and nothing stands at it.
Status Applier::make_way(std::string_view path) {
  TFS_TRY(tree_.make_parents(path));
  Place at = TFS_TRY(tree_.place(path));
  struct stat st;
  if (!stat_at(at, st)) return {};
  if (!again_) scan_->contradicts(object(path), "in the way of a new one");
  KeepMtime kept(at.dir, state_);
  TFS_TRY(remove_tree(at, object(path), state_));
  if (S_ISDIR(st.st_mode)) tree_.forget_directory(path);
  return {};
}

Status Applier::touch_if_there(std::string_view path, const format::Time& mtime) {
  return unless_undescribed(touch_directory(path, mtime), path);
}

Status Applier::force_new(std::string_view path) {
  tree_.forget_file(id_);
  scan_->forget_known(id_);
  scan_->wants().drop(id_);
  if (path.empty()) scan_->note_held(id_);
  if (path.empty()) return remove_tree(tree_.held_place(id_), object(path), state_);
  scan_->name_came(path);
  return make_way(path);
}

Status Applier::force(const format::Link& r) {
  TFS_TRY(make_way(r.new_path));
  scan_->name_came(r.new_path);
  Object source = object(r.path);
  struct stat st;
  Place to = TFS_TRY(tree_.place(r.new_path));
  Place from = scan_->known_place(id_);
  if (!scan_->is_known(id_)) {
    Result<Place> named = tree_.place(source);
    if (!named || !stat_at(*named, st) || S_ISDIR(st.st_mode)) {
      scan_->contradicts(source, "missing");
      return touch_if_there(parent_of(r.new_path), r.parent_mtime);
    }
    from = *named;
    to = TFS_TRY(tree_.place(r.new_path));
  }
  if (scan_->is_settled(source, links_ - 1)) TFS_TRY(scan_->note_links(from, id_, source));
  if (::linkat(from.dir, from.name.c_str(), to.dir, to.name.c_str(), 0) != 0) {
    return at_object("apply.forced.link", errno, "link", object(r.new_path));
  }
  scan_->wants().named(id_, std::string(r.new_path));
  return touch_if_there(parent_of(r.new_path), r.parent_mtime);
}

Status Applier::force(const format::Unlink& r) {
  Result<Place> at = tree_.place(r.path);
  struct stat st;
  bool is_there = at && stat_at(*at, st);
  if (!is_there && !again_) scan_->contradicts(object(r.path), "missing");
  if ((r.flags & format::kUnlinkKeep) && is_there && !S_ISDIR(st.st_mode)) TFS_TRY(keep_forced(*at, id_));
  if (is_there) {
    TFS_TRY(remove_tree(*at, object(r.path), state_));
    if (S_ISDIR(st.st_mode)) tree_.forget_directory(r.path);
  }
  if (links_ == 0 && !(r.flags & format::kUnlinkKeep)) {
    tree_.forget_file(id_);
    scan_->forget_known(id_);
    scan_->wants().drop(id_);
    scan_->settle_wants();
  } else if (r.flags & format::kUnlinkKeep) {
    scan_->wants().unnamed(id_);
  } else {
    scan_->wants().lost_name(id_, std::string(r.path));
  }
  return touch_if_there(parent_of(r.path), r.parent_mtime);
}

Status Applier::keep_forced(const Place& at, uint64_t id) {
  scan_->note_held(id);
  Place held = tree_.held_place(id);
  TFS_TRY(remove_tree(held, {{}, id}, state_));
  if (::linkat(at.dir, at.name.c_str(), held.dir, held.name.c_str(), 0) != 0) {
    return at_object("apply.forced.keep", errno, "keep", {{}, id});
  }
  return {};
}

Status Applier::force(const format::Rmdir& r) {
  Result<Place> at = tree_.place(r.path);
  struct stat st;
  if (!again_ && (!at || !stat_at(*at, st))) scan_->contradicts(object(r.path), "missing");
  if (at) TFS_TRY(remove_tree(*at, object(r.path), state_));
  tree_.forget_directory(r.path);
  return touch_if_there(parent_of(r.path), r.parent_mtime);
}

// Done once more after an error behind it, or a kill, it must not take what it has just moved for something in the way.
Status Applier::force(const format::Rename& r) {
  bool is_exchange = (r.flags & format::kRenameExchange) != 0;
  scan_->name_came(r.new_path);
  if (is_exchange) scan_->name_came(r.path);
  tree_.forget_directory(r.path);
  tree_.forget_directory(r.new_path);
  TFS_TRY(tree_.make_parents(r.new_path));
  if (is_exchange) TFS_TRY(tree_.make_parents(r.path));
  Result<Place> from = tree_.place(r.path);
  Place to = TFS_TRY(tree_.place(r.new_path));
  struct stat old_st {
  }, new_st{};
  uint64_t old_ino = from && stat_at(*from, old_st) ? old_st.st_ino : 0, new_ino = stat_at(to, new_st) ? new_st.st_ino : 0;
  bool is_done = again_ && new_ino != 0 && new_ino == state_.moved_ino() && old_ino != new_ino;
  if (!is_done) {
    bool expects_new = is_exchange || (r.flags & format::kRenameReplace);
    if (old_ino == 0) scan_->contradicts(object(r.path), "missing");
    if ((new_ino != 0) != expects_new) scan_->contradicts({r.new_path, 0}, expects_new ? "missing" : "in the way of another one");
    state_.note_moved(old_ino, to_time(old_st.st_mtim), to_time(new_st.st_mtim));
    const Place* old = from ? &*from : nullptr;
    TFS_TRY(is_exchange ? force_exchange(r, old, to) : force_move(r, old, to));
  }
  if (is_exchange && old_ino != 0 && new_ino != 0 && old_ino != new_ino)
    TFS_TRY(keep_mtimes(r, *from, is_done ? old_st : new_st, to, is_done ? new_st : old_st));
  if (!is_exchange && (r.flags & format::kRenameWhiteout)) {
    TFS_TRY(make_way(r.path));
    Place at = TFS_TRY(tree_.place(r.path));
    if (::mknodat(at.dir, at.name.c_str(), S_IFCHR, 0) != 0)
      return at_object("apply.forced.whiteout", errno, "make", object(r.path));
    TFS_TRY(dress_whiteout(r));
  }
  TFS_TRY(touch_if_there(parent_of(r.path), r.parent_mtime));
  return touch_if_there(parent_of(r.new_path), r.new_parent_mtime);
}

Status Applier::force_exchange(const format::Rename& r, const Place* from, const Place& to) {
  struct stat old_st, new_st;
  bool has_old = from != nullptr && stat_at(*from, old_st), has_new = stat_at(to, new_st);
  bool can = has_old && has_new && old_st.st_ino != new_st.st_ino;
  if (can && ::renameat2(from->dir, from->name.c_str(), to.dir, to.name.c_str(), RENAME_EXCHANGE) != 0) {
    return at_object("apply.forced.exchange", errno, "exchange", object(r.path));
  }
  if (!can && has_old) TFS_TRY(remove_tree(*from, object(r.path), state_));  // both are described again
  if (!can && has_new) TFS_TRY(remove_tree(to, object(r.new_path), state_));
  scan_->wants().exchanged(std::string(r.path), std::string(r.new_path));
  return {};
}

Status Applier::force_move(const format::Rename& r, const Place* from, const Place& to) {
  struct stat old_st, new_st;
  bool has_old = from != nullptr && stat_at(*from, old_st), has_new = stat_at(to, new_st);
  if ((r.flags & format::kRenameKeep) && has_new && !S_ISDIR(new_st.st_mode)) TFS_TRY(keep_forced(to, r.replaced));
  if (r.replaced != 0) {
    // What stands there need not be that object yet, and then tells nothing of it. A known one has a link more, under its id.
    struct stat known;
    bool is_known = stat_at(scan_->known_place(r.replaced), known);
    bool has_other_links =
        is_known ? known.st_nlink > (has_new && known.st_ino == new_st.st_ino ? 2u : 1u) : has_new && new_st.st_nlink > 1;
    bool lives_on = (r.flags & format::kRenameKeep) || has_other_links;
    if (r.flags & format::kRenameKeep) scan_->wants().unnamed(r.replaced);
    else if (lives_on) scan_->wants().lost_name(r.replaced, std::string(r.new_path));
    else scan_->wants().drop(r.replaced);
    if (!lives_on) tree_.forget_file(r.replaced);
    if (!lives_on) scan_->forget_known(r.replaced);
  }
  bool is_same = has_old && has_new && old_st.st_ino == new_st.st_ino;
  if (has_new && !is_same) TFS_TRY(remove_tree(to, object(r.new_path), state_));
  if (is_same) {
    TFS_TRY(remove_tree(*from, object(r.path), state_));
  } else if (has_old && ::renameat(from->dir, from->name.c_str(), to.dir, to.name.c_str()) != 0) {
    return at_object("apply.forced.rename", errno, "rename", object(r.path));
  }
  scan_->wants().renamed(std::string(r.path), std::string(r.new_path));
  scan_->settle_wants();
  return {};
}

Status Applier::force(const format::Forget&) {
  tree_.forget_file(id_);
  Place at = tree_.held_place(id_);
  struct stat held, known;
  bool is_known = stat_at(scan_->known_place(id_), known);
  bool has_names = stat_at(at, held) && held.st_nlink > (is_known && known.st_ino == held.st_ino ? 2u : 1u);  // it got them since
  if (!has_names) {
    scan_->forget_known(id_);  // the next one to have this number may be a whiteout, of which no frame tells that it is new
    scan_->wants().let_go(id_);
  }
  scan_->note_let_go(id_);
  scan_->settle_wants();
  return remove_tree(at, {{}, id_}, state_);
}

// What a copy brings stands in the file that it comes from, which may not be what it should be yet.
Status Applier::force(const format::Copy& r) {
  Object target = object(r.path);
  TFS_TRY(scan_->join_known(target));
  if (!scan_->is_settled(target, links_)) {
    scan_->contradicts(target, "not what a frame says");
    return {};
  }
  TFS_TRY(unless_undescribed(copy(r), r.path));
  if (scan_->is_running()) scan_->wants().want(id_, std::string(r.path), r.offset, r.length);
  return {};
}

}  // namespace tfs::apply
