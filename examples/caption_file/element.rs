//! The element `paraformerasr`: its properties by their names, and the model that all of them share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gstparaformer::runtime::ModelSource;
use gstparaformer::runtime::locate::Surroundings;

/// How long a model may take to load.
const LOADING: Duration = Duration::from_secs(600);

/// A new element with these properties. Errors: a property that there is not, or a value that it cannot have.
pub fn build(properties: &BTreeMap<String, String>) -> Result<gst::Element, String> {
    let element = gst::ElementFactory::make("paraformerasr").build().map_err(|error| error.to_string())?;
    for (name, text) in properties {
        set(&element, name, text)?;
    }
    Ok(element)
}

fn set(element: &gst::Element, name: &str, text: &str) -> Result<(), String> {
    let own = |spec: &glib::ParamSpec| {
        spec.owner_type() == element.type_() && spec.flags().contains(glib::ParamFlags::WRITABLE)
    };
    let Some(spec) = element.find_property(name).filter(own) else {
        let names: Vec<_> = element.list_properties().iter().filter(|s| own(s)).map(|s| s.name().to_owned()).collect();
        return Err(format!("paraformerasr has no property {name} to set. It has: {}", names.join(", ")));
    };
    let wrong = |_: glib::BoolError| format!("{name}: expected {}, found {}", expected(&spec), quoted(text));
    // Text is taken as it is; GStreamer would read quotes and escapes in it.
    let value = match spec.value_type() {
        glib::Type::STRING => text.to_value(),
        _ => glib::Value::deserialize_with_pspec(text, &spec).map_err(wrong)?,
    };
    // GStreamer reads -1 as the largest number where there are no negative ones.
    let wraps = text.trim_start().starts_with('-') && range(&spec).is_some_and(|(least, _)| least >= 0.0);
    let number = value.transform::<f64>().ok().and_then(|number| number.get::<f64>().ok());
    if let (Some(number), Some((least, most))) = (number, range(&spec))
        && (wraps || !(least..=most).contains(&number))
    {
        return Err(wrong(glib::bool_error!("out of range")));
    }
    element.set_property_from_value(name, &value);
    Ok(())
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { format!("\"{text}\"") }
}

/// The numbers that a property takes; none where it takes other things.
fn range(spec: &glib::ParamSpec) -> Option<(f64, f64)> {
    let spec = (
        spec.downcast_ref::<glib::ParamSpecUInt>(),
        spec.downcast_ref::<glib::ParamSpecInt>(),
        spec.downcast_ref::<glib::ParamSpecUInt64>(),
        spec.downcast_ref::<glib::ParamSpecDouble>(),
    );
    match spec {
        (Some(spec), ..) => Some((spec.minimum().into(), spec.maximum().into())),
        (_, Some(spec), ..) => Some((spec.minimum().into(), spec.maximum().into())),
        (_, _, Some(spec), _) => Some((spec.minimum() as f64, spec.maximum() as f64)),
        (_, _, _, Some(spec)) => Some((spec.minimum(), spec.maximum())),
        _ => None,
    }
}

/// What a property takes, in words.
fn expected(spec: &glib::ParamSpec) -> String {
    if let Some((least, most)) = range(spec) {
        return format!("a number from {least} to {most}");
    }
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        return format!("one of {}", class.values().iter().map(|value| value.nick()).collect::<Vec<_>>().join(", "));
    }
    match spec.value_type() {
        glib::Type::BOOL => "true or false".into(),
        kind => spec.blurb().map_or(kind.name().to_owned(), str::to_owned),
    }
}

/// What is set, and what follows from it.
pub struct Settings {
    pub properties: BTreeMap<String, String>,
    /// The model's folder, for people and to know it again.
    pub model: String,
    /// ISO 639 code of the text; empty where none is said.
    pub language: String,
    /// By how much texts are shifted, in ms.
    pub lateness_ms: u32,
}

impl Settings {
    /// Errors: those of [`build`].
    pub fn new(properties: BTreeMap<String, String>) -> Result<Self, String> {
        let element = build(&properties)?;
        let path = properties.get("model-path").filter(|path| !path.is_empty()).map(PathBuf::from);
        let model = match Surroundings::of_process().locate(path.as_deref()) {
            ModelSource::Directory(folder) => absolute(&folder),
            _ => "demonstration model".into(),
        };
        let language: Option<String> = element.property("language-code");
        let language = language.unwrap_or_default().split(['-', '_']).next().unwrap_or_default().to_owned();
        Ok(Self { lateness_ms: element.property("lateness"), properties, model, language })
    }
}

/// Holds the model in memory while it lives, so that files one after the other find it loaded.
pub struct SharedModel {
    element: gst::Element,
    pub warnings: Vec<String>,
}

impl SharedModel {
    /// Waits until the model is loaded; none where the user wants to stop. Errors: it cannot be used.
    pub fn open(settings: &Settings, stop: &AtomicBool) -> Result<Option<Self>, String> {
        let bus = gst::Bus::new();
        let mut shared = Self { element: build(&settings.properties)?, warnings: Vec::new() };
        shared.element.set_bus(Some(&bus));
        let opened = shared.element.set_state(gst::State::Ready);
        let (deadline, mut loading) = (Instant::now() + LOADING, false);
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let wait = if loading { gst::ClockTime::from_mseconds(100) } else { gst::ClockTime::ZERO };
            match bus.timed_pop(wait).as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => return Err(error.error().message().to_owned()),
                Some(gst::MessageView::Warning(warning)) => {
                    shared.warnings.push(warning.error().message().to_owned());
                }
                Some(gst::MessageView::Progress(progress)) => {
                    let (kind, _, text) = progress.get();
                    match kind {
                        gst::ProgressType::Start => loading = true,
                        gst::ProgressType::Error => return Err(text.to_owned()),
                        gst::ProgressType::Complete | gst::ProgressType::Canceled => loading = false,
                        _ => {}
                    }
                }
                Some(_) => {}
                None if !loading => break,
                None if Instant::now() > deadline => return Err("the model has not loaded for 10 minutes".into()),
                None => {}
            }
        }
        opened.map_err(|_| "the model could not be opened".to_owned())?;
        Ok(Some(shared))
    }
}

impl Drop for SharedModel {
    fn drop(&mut self) {
        // Nothing waits for it to succeed.
        let _ = self.element.set_state(gst::State::Null);
    }
}

fn absolute(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
