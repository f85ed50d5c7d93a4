//! What outlives a connection: the model, the settings of the element, and the program's clock.

use std::sync::Arc;
use std::time::SystemTime;

use gst::prelude::*;
use gstparaformer::captions::Shape;

use super::failure::Failure;

/// How every connection's `paraformerasr` is set, and the clock that all of them follow.
#[derive(Clone)]
pub struct Recogniser {
    settings: Arc<[(String, String)]>,
    /// Keeps the model from one connection to the next; it hears nothing.
    holder: Arc<Holder>,
    clock: gst::Clock,
    zero: gst::ClockTime,
    /// The time of day at the program's time zero.
    pub began: SystemTime,
}

impl Recogniser {
    /// Checks the settings (`property=value`) and opens the model. The program's time begins here.
    pub fn open(settings: &[String]) -> Result<Self, Failure> {
        let parted = settings.iter().map(|setting| {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                Failure::of_settings(format!("--set {setting}: there is no ="))
                    .with_advice("As in --set chunk-size='<8,8,4>'.")
            })?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let element = gst::ElementFactory::make("paraformerasr")
            .build()
            .map_err(|error| Failure::of_settings(format!("there is no paraformerasr: {error}")))?;
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let clock = gst::SystemClock::obtain();
        let this = Self {
            settings: parted.collect::<Result<Vec<_>, Failure>>()?.into(),
            holder: Arc::new(Holder(element)),
            zero: clock.time(),
            clock,
            began: SystemTime::now(),
        };
        let element = &this.holder.0;
        this.apply_to(element)?;
        if element.set_state(gst::State::Ready).is_err() {
            let reason = bus.pop_filtered(&[gst::MessageType::Error]);
            let reason = reason.as_ref().and_then(|message| match message.view() {
                gst::MessageView::Error(error) => Some(Failure::of_pipeline(error, true)),
                _ => None,
            });
            return Err(reason.unwrap_or_else(|| Failure::of_settings("the model cannot be opened")));
        }
        // What else it says, the elements of the connections say too.
        bus.set_flushing(true);
        Ok(this)
    }

    /// Sets an element as the user wants it.
    pub fn apply_to(&self, element: &gst::Element) -> Result<(), Failure> {
        for (name, value) in self.settings.iter() {
            let wrong = |what: &str| {
                Failure::of_settings(format!("--set {name}={value}: {what}"))
                    .with_advice("`gst-inspect-1.0 paraformerasr` shows the properties.")
            };
            if ["caption-mode", "output"].contains(&name.as_str()) {
                return Err(wrong("this program chooses it"));
            }
            let property = element.find_property(name).ok_or_else(|| wrong("paraformerasr has no such property"))?;
            if !property.flags().contains(gst::glib::ParamFlags::WRITABLE) {
                return Err(wrong("it can only be read"));
            }
            let value = gst::glib::Value::deserialize_with_pspec(value, &property)
                .map_err(|_| wrong("the value is not of its type"))?;
            element.set_property_from_value(name, &value);
        }
        Ok(())
    }

    /// The shape of captions.
    pub fn shape(&self) -> Shape {
        let value = |name: &str| self.holder.0.property::<u32>(name);
        Shape {
            max_line_chars: value("max-line-chars"),
            max_lines: value("max-lines"),
            max_duration_ms: value("max-caption-duration"),
            min_duration_ms: value("min-caption-duration"),
            max_reading_speed: value("max-reading-speed"),
        }
    }

    /// The clock of every pipeline.
    pub fn clock(&self) -> &gst::Clock {
        &self.clock
    }

    /// A time of that clock on the program's timeline.
    pub fn program_ns(&self, time: gst::ClockTime) -> u64 {
        time.saturating_sub(self.zero).nseconds()
    }

    /// The program's time now.
    pub fn now_ns(&self) -> u64 {
        self.program_ns(self.clock.time())
    }
}

struct Holder(gst::Element);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
