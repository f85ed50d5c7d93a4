//! The FSMN memory: a convolution over time for each channel, in the layout that the graph has, so that nothing is
//! transposed or padded. Streams of several lengths in a call stay apart.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;
use pulp::Simd;

use super::rows::add_weighed;
use super::{Crew, DECODER_MEMORY, ENCODER_MEMORY, Scratch, Work, input, misfit, own_steps};

/// `m = x * mask`, then `(m + convolution(m)) * mask`: x `[b, t, n]`, mask `[b, t, 1]`, kernel `[taps, n]`. The attribute
/// `before` says how many taps look back.
pub struct EncoderMemory(pub Arc<Crew>);

/// The convolution looks back only, and goes on from a cache: `(x + convolution(cache, x * mask)) * mask`, and the cache
/// after the stream's own tokens: x `[b, t, n]`, mask `[b, t, 1]`, kernel `[taps, n]`, caches `[b, n, taps - 1]`.
pub struct DecoderMemory(pub Arc<Crew>);

impl Operator for EncoderMemory {
    type Kernel<'attr> = EncoderKernel;

    fn name(&self) -> &str {
        ENCODER_MEMORY
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [TensorElementType::Float32; 3].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<EncoderKernel> {
        let before = context.get::<i64>("before").and_then(|before| usize::try_from(before).ok());
        Ok(EncoderKernel { crew: self.0.clone(), before: before.ok_or_else(|| misfit(ENCODER_MEMORY))? })
    }
}

impl Operator for DecoderMemory {
    type Kernel<'attr> = DecoderKernel;

    fn name(&self) -> &str {
        DECODER_MEMORY
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [TensorElementType::Float32; 4].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [TensorElementType::Float32; 2].map(OperatorOutput::required)
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<DecoderKernel> {
        Ok(DecoderKernel { crew: self.0.clone() })
    }
}

pub struct EncoderKernel {
    crew: Arc<Crew>,
    before: usize,
}

pub struct DecoderKernel {
    crew: Arc<Crew>,
}

/// One stream's part of an encoder call.
struct Window<'a> {
    x: &'a [f32],
    mask: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for EncoderKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (x, mask, kernel) = (input(context, 0)?, input(context, 1)?, input(context, 2)?);
        let (shape, x) = x.try_extract_tensor::<f32>()?;
        let (mask, kernel) = (mask.try_extract_tensor::<f32>()?.1, kernel.try_extract_tensor::<f32>()?.1);
        let [_, frames, width] = sizes(shape).ok_or_else(|| misfit(ENCODER_MEMORY))?;
        let fits = mask.len() * width == x.len() && kernel.len() % width == 0;
        let mut out = context.output(0, shape.to_vec())?.filter(|_| fits).ok_or_else(|| misfit(ENCODER_MEMORY))?;
        let out = out.try_extract_tensor_mut::<f32>()?.1;
        let each = frames * width;
        let streams = x.chunks(each).zip(mask.chunks(frames)).zip(out.chunks_mut(each));
        let windows = streams.map(|((x, mask), out)| Window { x, mask, out }).collect();
        self.crew.share(context, x.len(), windows, &Frames { kernel, before: self.before, width })
    }
}

/// What is the same for all windows.
struct Frames<'a> {
    kernel: &'a [f32],
    before: usize,
    width: usize,
}

impl<'a> Work<Window<'a>> for Frames<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, simd: S, Window { x, mask, out }: &mut Window<'a>) {
        let frame = |frame: usize| &x[frame * self.width..][..self.width];
        look_around(simd, out, mask, self.kernel, self.before, frame);
    }
}

/// The memory of one stream's frames.
#[inline(always)]
pub fn look_around<'a, S: Simd>(
    simd: S,
    out: &mut [f32],
    mask: &[f32],
    kernel: &[f32],
    before: usize,
    row: impl Fn(usize) -> &'a [f32] + Copy,
) {
    let width = out.len() / mask.len().max(1);
    let (own, taps) = (own_steps(mask), kernel.len() / width);
    for (frame, out) in out.chunks_exact_mut(width).enumerate() {
        if frame >= own {
            out.fill(0.0);
            continue;
        }
        out.copy_from_slice(row(frame));
        // Outside the window, and where a stream has ended, there is nothing.
        let there = before.saturating_sub(frame)..taps.min(own + before - frame);
        add_weighed(simd, out, there.map(|tap| (&kernel[tap * width..][..width], row(frame + tap - before))));
    }
}

/// One stream's part of a decoder call.
struct Tokens<'a> {
    x: &'a [f32],
    mask: &'a [f32],
    cache: &'a [f32],
    out: &'a mut [f32],
    new_cache: &'a mut [f32],
}

impl Kernel for DecoderKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let [x, mask, kernel, caches] =
            [input(context, 0)?, input(context, 1)?, input(context, 2)?, input(context, 3)?];
        let (shape, x) = x.try_extract_tensor::<f32>()?;
        let (mask, kernel) = (mask.try_extract_tensor::<f32>()?.1, kernel.try_extract_tensor::<f32>()?.1);
        let (cache_shape, caches) = caches.try_extract_tensor::<f32>()?;
        let wrong = || misfit(DECODER_MEMORY);
        let ([batch, tokens, width], [cached, cache_width, length]) =
            (sizes(shape).ok_or_else(wrong)?, sizes(cache_shape).ok_or_else(wrong)?);
        let fits = mask.len() * width == x.len()
            && (cached, cache_width) == (batch, width)
            && kernel.len() == (length + 1) * width;
        let mut out = context.output(0, shape.to_vec())?.filter(|_| fits).ok_or_else(wrong)?;
        let mut new_caches = context.output(1, cache_shape.to_vec())?.ok_or_else(wrong)?;
        let (out, new_caches) = (out.try_extract_tensor_mut::<f32>()?.1, new_caches.try_extract_tensor_mut::<f32>()?.1);
        let (each, each_cache) = (tokens * width, length * width);
        let inputs = x.chunks(each).zip(mask.chunks(tokens)).zip(caches.chunks(each_cache));
        let outputs = out.chunks_mut(each).zip(new_caches.chunks_mut(each_cache));
        let parts =
            inputs.zip(outputs).map(|(((x, mask), cache), (out, new_cache))| Tokens { x, mask, cache, out, new_cache });
        self.crew.share(context, x.len() + caches.len(), parts.collect(), &Row { kernel, width, length })
    }
}

/// What is the same for all streams.
struct Row<'a> {
    kernel: &'a [f32],
    width: usize,
    length: usize,
}

impl<'a> Work<Tokens<'a>> for Row<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, simd: S, Tokens { x, mask, cache, out, new_cache }: &mut Tokens<'a>) {
        let Self { kernel, width, length } = *self;
        let own = own_steps(mask);
        // The cache, then the tokens, row by row.
        let mut scratch = Scratch::take((length + own) * width);
        let rows = scratch.numbers();
        for (step, row) in rows.chunks_exact_mut(width).take(length).enumerate() {
            row.iter_mut().zip(cache[step..].iter().step_by(length)).for_each(|(value, cached)| *value = *cached);
        }
        rows[width * length..][..own * width].copy_from_slice(&x[..own * width]);
        out[own * width..].fill(0.0);
        for (token, out) in out.chunks_exact_mut(width).take(own).enumerate() {
            out.copy_from_slice(&x[token * width..][..width]);
            let taps = kernel.chunks_exact(width).zip(rows[token * width..].chunks_exact(width));
            add_weighed(simd, out, taps);
        }
        for (step, row) in rows.chunks_exact(width).skip(own).take(length).enumerate() {
            new_cache[step..].iter_mut().step_by(length).zip(row).for_each(|(cached, value)| *cached = *value);
        }
    }
}

/// Three sizes, none of them 0.
pub fn sizes(shape: &[i64]) -> Option<[usize; 3]> {
    let [a, b, c] = <[i64; 3]>::try_from(shape).ok()?;
    let sizes = [usize::try_from(a).ok()?, usize::try_from(b).ok()?, usize::try_from(c).ok()?];
    sizes.iter().all(|&size| size > 0).then_some(sizes)
}
