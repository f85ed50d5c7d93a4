//! An RTSP server with a thread of its own.

use std::thread::JoinHandle;

use gst_rtsp_server::glib;
use gst_rtsp_server::prelude::*;

use super::failure::Failure;

/// A server that serves until this is dropped.
pub struct Serving {
    pub server: gst_rtsp_server::RTSPServer,
    source: Option<glib::SourceId>,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Listens at an address; port 0 is any free one.
    pub fn start(host: &str, port: u16) -> Result<Self, Failure> {
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address(host);
        server.set_service(&port.to_string());
        let context = glib::MainContext::new();
        let source = server.attach(Some(&context)).map_err(|error| {
            Failure::of_settings(format!("cannot serve RTSP at {host}:{port}: {error}"))
                .with_advice("Choose another port: the one given may be in use.")
        })?;
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let running = main_loop.clone();
        let thread = std::thread::Builder::new()
            .name("rtsp-server".into())
            .spawn(move || running.run())
            .map_err(|error| Failure::of_settings(format!("cannot start a thread: {error}")))?;
        Ok(Self { server, source: Some(source), main_loop, thread: Some(thread) })
    }

    /// The port it listens at.
    pub fn port(&self) -> i32 {
        self.server.bound_port()
    }

    /// Hangs up on everybody.
    pub fn hang_up(&self) {
        self.server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.hang_up();
        // The source belongs to the thread's context; with the loop, the last who holds the context ends, and the port
        // is free.
        if let Some(source) = self.source.take()
            && let Some(source) = self.main_loop.context().find_source_by_id(&source)
        {
            source.destroy();
        }
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            // It only runs the loop.
            let _ = thread.join();
        }
    }
}
