//! Passes the commit and its date on to `plugin_define!`.
fn main() {
    gst_plugin_version_helper::info();
}
